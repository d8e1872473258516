import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compileModel } from '../../../controller/model/compile.ts';
import { loadNative } from '../../../native/load.ts';
import { goldenFolder, readGoldens } from '../../e2e/golden.ts';
import { localRun, openModel, score } from './model.ts';

/*
 * Golden checkpoints as Mistral would publish them: its names, its configuration, and rows of queries and keys in the order
 * in which its own code rotates them, neighbours together.
 */
const native = loadNative();

interface Tensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data: Buffer;
}

async function readTensors(file: string): Promise<Map<string, Tensor>> {
  const bytes = await readFile(file);
  const length = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + length)) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >;
  const { __metadata__: _, ...tensors } = header;
  return new Map(
    Object.entries(tensors).map(
      ([
        name,
        {
          dtype,
          shape,
          data_offsets: [begin, end],
        },
      ]) => [name, { dtype, shape, data: bytes.subarray(8 + length + begin, 8 + length + end) }],
    ),
  );
}

async function writeTensors(file: string, tensors: ReadonlyMap<string, Tensor>): Promise<void> {
  let offset = 0;
  const header = Object.fromEntries(
    [...tensors].map(([name, { dtype, shape, data }]) => {
      const begin = offset;
      offset += data.length;
      return [name, { dtype, shape, data_offsets: [begin, offset] }];
    }),
  );
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  await writeFile(file, Buffer.concat([length, text, ...[...tensors.values()].map(({ data }) => data)]));
}

/** Pairs that rotate together, which lie half a head apart, become neighbours. */
function neighbours({ dtype, shape, data }: Tensor, heads: number): Tensor {
  const [rows = 0] = shape;
  const rowBytes = data.length / rows;
  const width = rows / heads;
  const from = (row: number) => {
    const inHead = row % width;
    return row - inHead + (inHead % 2) * (width / 2) + Math.floor(inHead / 2);
  };
  const parts = Array.from({ length: rows }, (_, row) =>
    data.subarray(from(row) * rowBytes, (from(row) + 1) * rowBytes),
  );
  return { dtype, shape, data: Buffer.concat(parts) };
}

const names: readonly (readonly [RegExp, string])[] = [
  [/^model\.embed_tokens/, 'tok_embeddings'],
  [/^lm_head/, 'output'],
  [/^model\.norm/, 'norm'],
  [/^model\.layers/, 'layers'],
  [/input_layernorm/, 'attention_norm'],
  [/post_attention_layernorm/, 'ffn_norm'],
  [/self_attn\.([qkvo])_proj/, 'attention.w$1'],
  [/self_attn\.q_a_proj/, 'attention.wq_a'],
  [/self_attn\.q_b_proj/, 'attention.wq_b'],
  [/self_attn\.kv_b_proj/, 'attention.wkv_b'],
  [/self_attn\.kv_a_proj_with_mqa/, 'attention.wkv_a_with_mqa'],
  [/self_attn\.q_a_layernorm/, 'attention.q_a_norm'],
  [/self_attn\.kv_a_layernorm/, 'attention.kv_a_norm'],
  [/block_sparse_moe\./, 'feed_forward.'],
  [/mlp\.gate_proj/, 'feed_forward.w1'],
  [/mlp\.down_proj/, 'feed_forward.w2'],
  [/mlp\.up_proj/, 'feed_forward.w3'],
  [/mlp\.(gate|shared_experts|experts)\./, '$1.'],
  [/\.gate_proj/, '.w1'],
  [/\.down_proj/, '.w2'],
  [/\.up_proj/, '.w3'],
];

interface Config {
  readonly rope_parameters?: Readonly<Record<string, unknown>>;
  readonly [key: string]: unknown;
}

/** params.json of each golden. */
const layouts: Readonly<Record<string, (config: Config) => object>> = {
  mistral: () => ({}),
  mixtral: (config) => ({
    moe: { num_experts: config['num_local_experts'], num_experts_per_tok: config['num_experts_per_tok'] },
  }),
  ministral3: ({ rope_parameters: rope = {} }) => ({
    yarn: {
      original_max_position_embeddings: rope['original_max_position_embeddings'],
      factor: rope['factor'],
      apply_scale: false,
      beta: rope['beta_fast'],
      alpha: rope['beta_slow'],
    },
    llama_4_scaling: {
      original_max_position_embeddings: rope['original_max_position_embeddings'],
      beta: rope['llama_4_scaling_beta'],
    },
  }),
};

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'conclave-mistral-'));
});
afterAll(() => rm(root, { recursive: true }));

async function publish(name: string): Promise<string> {
  const [from, to] = [goldenFolder(name), await mkdtemp(join(root, `${name}-`))];
  const config = JSON.parse(await readFile(join(from, 'config.json'), 'utf8')) as Config;
  const heads = Number(config['num_attention_heads']);
  const kvHeads = Number(config['num_key_value_heads']);
  const tensors = [...(await readTensors(join(from, 'model.safetensors')))].map(([own, tensor]): [string, Tensor] => {
    const renamed = names.reduce((text, [pattern, other]) => text.replace(pattern, other), own);
    if (own.includes('.q_proj.')) return [renamed, neighbours(tensor, heads)];
    return [renamed, own.includes('.k_proj.') ? neighbours(tensor, kvHeads) : tensor];
  });
  await writeTensors(join(to, 'consolidated.safetensors'), new Map(tensors));
  const params = {
    dim: config['hidden_size'],
    n_layers: config['num_hidden_layers'],
    head_dim: config['head_dim'] ?? Number(config['hidden_size']) / heads,
    hidden_dim: config['intermediate_size'],
    n_heads: heads,
    n_kv_heads: kvHeads,
    rope_theta: config['rope_theta'] ?? config.rope_parameters?.['rope_theta'],
    norm_eps: config['rms_norm_eps'],
    vocab_size: config['vocab_size'],
    tied_embeddings: config['tie_word_embeddings'],
    sliding_window: config['sliding_window'] ?? null,
    use_biases: false,
    ...layouts[name]?.(config),
  };
  await writeFile(join(to, 'params.json'), JSON.stringify(params));
  return to;
}

describe.each(Object.keys(layouts))("%s in Mistral's layout", (name) => {
  test('gives the reference log-probabilities', async () => {
    const goldens = readGoldens(name);
    const model = await openModel(native, await publish(name));
    try {
      const results = await score(
        localRun(model.stage),
        goldens.map(({ prompt }) => prompt),
        7,
      );
      for (const [index, { logprobs }] of results.entries()) {
        const errors = logprobs.map((value, at) =>
          Math.abs(value - (goldens[index]?.promptLogprobs[at] ?? Number.NaN)),
        );
        expect(Math.max(...errors)).toBeLessThan(1e-4);
      }
    } finally {
      model.close();
    }
  });
});

test('a folder in both layouts is read as Hugging Face lays it out, with a warning', async () => {
  const folder = await publish('mistral');
  for (const file of ['config.json', 'model.safetensors'])
    await writeFile(join(folder, file), await readFile(join(goldenFolder('mistral'), file)));
  const { spec, warnings } = await compileModel(folder);
  expect(spec.files.map(({ path }) => path)).toEqual(['model.safetensors']);
  expect(warnings).toEqual([expect.stringContaining('params.json is there too')]);
});

test.each([
  [{ use_biases: true }, 'params.json: use_biases is true; supported: false'],
  [{ quantization: { qformat_weight: 'int3' } }, 'params.json: quantization is {"qformat_weight":"int3"}; supported'],
  [{ new_key: 1 }, 'params.json: new_key is 1, which is not supported'],
])('%j is refused by key and value', async (changes, problem) => {
  const folder = await publish('mistral');
  const path = join(folder, 'params.json');
  const params = JSON.parse(await readFile(path, 'utf8')) as object;
  await writeFile(path, JSON.stringify({ ...params, ...changes }));
  await expect(compileModel(folder)).rejects.toThrow(problem);
});

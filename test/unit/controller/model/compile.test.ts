import { cp, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { MessageTypeDefinition } from '@grpc/proto-loader';
import { describe, expect, test } from 'vitest';
import { compileModel } from '../../../../controller/model/compile.ts';
import type { ExpertTable__Output as ExpertTable } from '../../../../proto/generated/conclave/v1/ExpertTable.ts';
import type { TensorRef__Output as TensorRef } from '../../../../proto/generated/conclave/v1/TensorRef.ts';
import { decode, encode, type ModelSpec, packageDefinition } from '../../../../proto/messages.ts';
import { expertOf } from '../../../../proto/model/experts.ts';
import { denseOf, expertCount, gqaOf, moeOf } from '../../../../proto/model/operators.ts';
import {
  folderOf,
  goldenConfig,
  goldenEntries,
  goldenNames,
  goldenRoot,
  problemsOf,
  temporaryFolder,
} from './checkpoint-folder.ts';

const modelSpec = packageDefinition['conclave.v1.ModelSpec'] as MessageTypeDefinition<object, ModelSpec>;

/** Every tensor that a specification names. */
function tensorsIn(value: unknown): TensorRef[] {
  if (typeof value !== 'object' || value === null) return [];
  if ('name' in value && 'shape' in value) return [value as TensorRef];
  if ('places' in value) {
    const table = value as ExpertTable;
    return Array.from({ length: table.count }, (_, id) => tensorsIn(expertOf(table, id))).flat();
  }
  return Object.values(value).flatMap(tensorsIn);
}

describe('every golden', () => {
  test.each(goldenNames)('%s survives the wire unchanged', async (name) => {
    const { spec } = await compileModel(join(goldenRoot, name));
    expect(decode(modelSpec, encode(modelSpec, spec))).toEqual(spec);
  });

  test.each(goldenNames)('%s names every tensor once, where the file has it', async (name) => {
    const { spec } = await compileModel(join(goldenRoot, name));
    const entries = goldenEntries(name);
    const found = tensorsIn(spec);
    for (const { name: tensor, shape, dtype } of found) {
      expect({ shape, dtype: dtype.replace('DATA_TYPE_', '') }).toEqual(entries[tensor]);
    }
    const tied = name === 'qwen3' ? ['model.embed_tokens.weight'] : [];
    expect(found.map((tensor) => tensor.name).sort()).toEqual([...Object.keys(entries), ...tied].sort());
  });
});

const shared = { hiddenSize: 64, heads: 4, kvHeads: 2, window: 0, rope: 1e4, bias: false, oBias: false, clip: 0 };
const dense = { ...shared, experts: 0, scoring: null, sharedExpert: false };

test.each([
  { name: 'llama', ...dense, headDim: 16, qkNorm: 'QK_NORM_UNSPECIFIED', epsilon: 1e-6, tied: false },
  { name: 'mistral', ...dense, headDim: 16, qkNorm: 'QK_NORM_UNSPECIFIED', epsilon: 1e-6, tied: false, window: 9 },
  { name: 'qwen2', ...dense, headDim: 16, qkNorm: 'QK_NORM_UNSPECIFIED', epsilon: 1e-6, tied: false, bias: true },
  { name: 'qwen3', ...dense, headDim: 32, qkNorm: 'QK_NORM_PER_HEAD', epsilon: 1e-6, tied: true },
  {
    name: 'mixtral',
    ...shared,
    hiddenSize: 32,
    headDim: 8,
    qkNorm: 'QK_NORM_UNSPECIFIED',
    epsilon: 1e-5,
    tied: false,
    experts: 8,
    scoring: 'GATE_SCORING_SOFTMAX_TOPK',
    sharedExpert: false,
  },
  {
    name: 'mixtral_swa',
    ...shared,
    hiddenSize: 32,
    headDim: 8,
    qkNorm: 'QK_NORM_UNSPECIFIED',
    epsilon: 1e-5,
    tied: false,
    window: 7,
    experts: 8,
    scoring: 'GATE_SCORING_SOFTMAX_TOPK',
    sharedExpert: false,
  },
  {
    name: 'qwen2_moe',
    ...shared,
    headDim: 16,
    qkNorm: 'QK_NORM_UNSPECIFIED',
    epsilon: 1e-6,
    tied: false,
    bias: true,
    experts: 8,
    scoring: 'GATE_SCORING_SOFTMAX_ALL',
    sharedExpert: true,
  },
  {
    name: 'qwen3_moe',
    ...shared,
    headDim: 32,
    qkNorm: 'QK_NORM_PER_HEAD',
    epsilon: 1e-6,
    tied: false,
    experts: 8,
    scoring: 'GATE_SCORING_SOFTMAX_TOPK',
    sharedExpert: false,
  },
  {
    name: 'olmoe',
    ...shared,
    headDim: 16,
    qkNorm: 'QK_NORM_FULL_WIDTH',
    epsilon: 1e-5,
    tied: false,
    experts: 8,
    scoring: 'GATE_SCORING_SOFTMAX_ALL',
    sharedExpert: false,
  },
])('$name compiles to what its family does', async (expected) => {
  const { spec, report } = await compileModel(join(goldenRoot, expected.name));
  expect(spec).toMatchObject({
    name: expected.name,
    hiddenSize: expected.hiddenSize,
    vocabSize: 320,
    maxPosition: 512,
    embeddingMultiplier: 1,
    logitMultiplier: 1,
    bosTokenId: 0,
    eosTokenIds: [2],
    finalNorm: { epsilon: Math.fround(expected.epsilon) },
  });
  expect(spec.head?.weight?.data?.name).toBe(expected.tied ? 'model.embed_tokens.weight' : 'lm_head.weight');
  expect(spec.layers).toHaveLength(3);
  for (const layer of spec.layers) {
    const attention = gqaOf(layer)!;
    const moe = moeOf(layer);
    expect(attention).toMatchObject({
      heads: expected.heads,
      kvHeads: expected.kvHeads,
      headDim: expected.headDim,
      scale: Math.fround(1 / Math.sqrt(expected.headDim)),
      slidingWindow: expected.window,
      qkNorm: expected.qkNorm,
      clipQkv: expected.clip,
    });
    expect([attention.q, attention.k, attention.v].map((linear) => linear?.bias != null)).toEqual(
      Array(3).fill(expected.bias),
    );
    expect(attention.o?.bias != null).toBe(expected.oBias);
    const normWidths = {
      QK_NORM_UNSPECIFIED: [undefined, undefined],
      QK_NORM_PER_HEAD: [expected.headDim, expected.headDim],
      QK_NORM_FULL_WIDTH: [expected.heads * expected.headDim, expected.kvHeads * expected.headDim],
    }[expected.qkNorm];
    expect([attention.qNorm, attention.kNorm].map((norm) => norm?.weight?.shape[0])).toEqual(normWidths);
    expect(layer.blocks.map(({ residualMultiplier }) => residualMultiplier)).toEqual([1, 1]);
    expect(expertCount(layer)).toBe(expected.experts);
    expect(moe?.gate?.scoring ?? null).toBe(expected.scoring);
    expect((moe && denseOf(layer)?.outputGate) != null).toBe(expected.sharedExpert);
  }
  expect(report.experts?.topK ?? 0).toBe(expected.experts > 0 ? 2 : 0);
  const valueWidth = Math.ceil(expected.headDim / 16) * 16;
  expect(report.kvBytesPerToken.bf16).toBe(3 * expected.kvHeads * (expected.headDim + valueWidth) * 2);
});

describe('a checkpoint folder', () => {
  test('gives the model its name unless another one is given', async () => {
    expect((await compileModel(join(goldenRoot, 'llama', '.'))).spec.name).toBe('llama');
    expect((await compileModel(join(goldenRoot, 'llama'), { name: 'mine' })).report.name).toBe('mine');
  });

  test('that does not exist, or is a file, is refused', async () => {
    const expected = [
      'expected a checkpoint folder or a .gguf file; there is none at this path (models of the Hub are named ORG/NAME)',
    ];
    expect(await problemsOf(join(goldenRoot, 'absent'))).toEqual(expected);
    expect(await problemsOf(join(goldenRoot, 'llama/config.json'))).toEqual(expected);
  });

  test('that is empty is refused with all that it lacks', async () => {
    expect(await problemsOf(await temporaryFolder())).toEqual([
      'config.json: no such file',
      'expected model.safetensors or model.safetensors.index.json; no weight file is there',
    ]);
  });

  test('with weights of another format is refused with their names', async () => {
    const folder = await folderOf(goldenConfig('llama'));
    await rename(join(folder, 'model.safetensors'), join(folder, 'pytorch_model.bin'));
    expect(await problemsOf(folder)).toEqual([
      'expected model.safetensors or model.safetensors.index.json; found ["pytorch_model.bin"]',
    ]);
  });
});

async function folderWith(generation: unknown, config: Record<string, unknown> = {}) {
  const folder = await folderOf({ ...goldenConfig('llama'), ...config });
  await writeFile(join(folder, 'generation_config.json'), JSON.stringify(generation));
  return folder;
}

describe('generation_config.json', () => {
  test('says which tokens end a sequence beside config.json, and before it which one begins it', async () => {
    const { spec } = await compileModel(await folderWith({ eos_token_id: [5, 7, 5], bos_token_id: 3 }));
    expect(spec).toMatchObject({ eosTokenIds: [5, 7, 2], bosTokenId: 3 });
  });

  test('leaves to config.json what it does not say', async () => {
    const { spec } = await compileModel(await folderWith({}, { eos_token_id: [4], bos_token_id: null }));
    expect(spec.eosTokenIds).toEqual([4]);
    expect('bosTokenId' in spec).toBe(false);
  });

  test('is refused where it is wrong', async () => {
    const problems = await problemsOf(await folderWith({ bos_token_id: -1, eos_token_id: 'end' }));
    expect(problems).toHaveLength(2);
    expect(problems.join()).toMatch(/generation_config.json: bos_token_id is -1: /);
    expect(problems.join()).toMatch(/generation_config.json: eos_token_id is "end": /);
  });

  test('cannot name a token outside the vocabulary', async () => {
    expect(await problemsOf(await folderWith({ eos_token_id: 320 }))).toEqual([
      'token id 320 in bos_token_id or eos_token_id is outside the vocabulary of 320',
    ]);
  });
});

async function digestOf(config: Record<string, unknown>) {
  return (await compileModel(await folderOf(config))).spec.digest;
}

describe('the digest', () => {
  const base = goldenConfig('qwen3_moe');

  test('does not depend on the folder, the order of keys, or keys that mean nothing', async () => {
    const shuffled = Object.fromEntries(Object.entries(base).reverse());
    const expected = await digestOf(base);
    expect(expected).toMatch(/^[0-9a-f]{64}$/);
    expect(await digestOf(shuffled)).toBe(expected);
    expect(await digestOf({ ...base, transformers_version: '4.0.0', use_cache: false })).toBe(expected);
  });

  test('is the same on every machine', async () => {
    const { spec } = await compileModel(join(goldenRoot, 'qwen3_moe'));
    expect(spec.digest).toBe('ba3150a324abc1bd18a6c385aca76e7754412ea8291897cca52dca2b3aacdb36');
  });

  test.each([
    ['norm_topk_prob', false],
    ['rms_norm_eps', 1e-5],
    ['eos_token_id', 3],
    ['rope_parameters', { rope_type: 'default', rope_theta: 20_000 }],
    ['num_experts_per_tok', 3],
  ])('changes with %s', async (key, value) => {
    expect(await digestOf({ ...base, [key]: value })).not.toBe(await digestOf(base));
  });

  test('changes with where the tensors lie', async () => {
    const entries = goldenEntries('qwen3_moe');
    const [first] = Object.keys(entries);
    const { [first!]: moved, ...others } = entries;
    const a = await compileModel(await folderOf(base, entries));
    const b = await compileModel(await folderOf(base, { ...others, [first!]: moved! }));
    expect(b.spec.digest).not.toBe(a.spec.digest);
  });

  test('does not change with a copy under another name', async () => {
    const copy = join(await temporaryFolder(), 'copy');
    await cp(join(goldenRoot, 'qwen3_moe'), copy, { recursive: true });
    const original = await compileModel(join(goldenRoot, 'qwen3_moe'));
    expect((await compileModel(copy, { name: 'other' })).spec.digest).toBe(original.spec.digest);
  });
});

/** Writes the checkpoint of a Qwen3-MoE as a GGUF file of one quantisation, for llama.cpp to run: all matrices but gates in it. */
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readCheckpoint } from '../../controller/model/checkpoint/checkpoint.ts';
import { Problems } from '../../controller/model/config/problems.ts';
import { type Block, blocks, f32Type } from './blocks.ts';

type Value = string | number | readonly string[] | readonly number[];
type Config = Readonly<Record<string, number>>;

const alignment = 32;
const types = { u32: 4, i32: 5, f32: 6, string: 8, array: 9 } as const;

interface Tensor {
  readonly name: string;
  /** Of the checkpoint, one behind the other. */
  readonly sources: readonly string[];
  /** Innermost first, as GGUF has them. */
  readonly shape: readonly number[];
  readonly block: Block | null;
}

/** `format`: as in llama.cpp. */
export async function writeGguf(folder: string, path: string, format: keyof typeof blocks): Promise<void> {
  const problems = new Problems();
  const checkpoint = await readCheckpoint(folder, problems);
  problems.throwIfAny(folder);
  const config = JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')) as Config;
  const tokenizer = JSON.parse(await readFile(join(folder, 'tokenizer.json'), 'utf8')) as {
    readonly model: { readonly vocab: Readonly<Record<string, number>> };
  };
  const tensors = tensorsOf(config, blocks[format]);
  const output = await open(path, 'w');
  const files = await Promise.all(checkpoint.files.map((file) => open(join(folder, file.path), 'r')));
  try {
    await output.write(head(metadata(config, tokenizer.model.vocab), tensors));
    for (const { sources, block, shape } of tensors) {
      for (const name of sources) {
        const source = checkpoint.tensors.get(name);
        if (source === undefined) throw new Error(`${name}: no such tensor`);
        const bytes = new Uint16Array(source.bytes / 2);
        await files[source.file]?.read(new Uint8Array(bytes.buffer), 0, source.bytes, source.offset);
        await output.write(block === null ? toFloats(bytes) : block.quantise(toFloats(bytes)));
      }
      await output.write(Buffer.alloc(padding(tensorBytes({ block, shape }))));
    }
  } finally {
    for (const file of [output, ...files]) await file.close();
  }
}

function metadata(
  config: Config,
  vocab: Readonly<Record<string, number>>,
): readonly (readonly [string, number, Value])[] {
  const tokens = Object.keys(vocab).sort((a, b) => (vocab[a] ?? 0) - (vocab[b] ?? 0));
  while (tokens.length < (config['vocab_size'] ?? 0)) tokens.push(`<unused ${tokens.length}>`);
  const own = (key: string, name: string) => [`qwen3moe.${key}`, types.u32, config[name] ?? 0] as const;
  return [
    ['general.architecture', types.string, 'qwen3moe'],
    own('block_count', 'num_hidden_layers'),
    own('context_length', 'max_position_embeddings'),
    own('embedding_length', 'hidden_size'),
    own('feed_forward_length', 'intermediate_size'),
    own('attention.head_count', 'num_attention_heads'),
    own('attention.head_count_kv', 'num_key_value_heads'),
    own('attention.key_length', 'head_dim'),
    own('attention.value_length', 'head_dim'),
    own('expert_count', 'num_experts'),
    own('expert_used_count', 'num_experts_per_tok'),
    own('expert_feed_forward_length', 'moe_intermediate_size'),
    ['qwen3moe.rope.freq_base', types.f32, config['rope_theta'] ?? 0],
    ['qwen3moe.attention.layer_norm_rms_epsilon', types.f32, config['rms_norm_eps'] ?? 0],
    ['tokenizer.ggml.model', types.string, 'gpt2'],
    ['tokenizer.ggml.pre', types.string, 'gpt-2'],
    ['tokenizer.ggml.tokens', types.array, tokens],
    ['tokenizer.ggml.token_type', types.array, tokens.map(() => 1)],
    // The tokenizer has none; llama.cpp asks for some.
    ['tokenizer.ggml.merges', types.array, [`${tokens[0]} ${tokens[1]}`]],
  ];
}

function tensorsOf(config: Config, block: Block): readonly Tensor[] {
  const at = (name: string): number => config[name] ?? 0;
  const [hidden, width, experts] = [at('hidden_size'), at('moe_intermediate_size'), at('num_experts')];
  const [queries, keys] = [at('num_attention_heads') * at('head_dim'), at('num_key_value_heads') * at('head_dim')];
  const vector = (name: string, source: string, length: number): Tensor => ({
    ...{ name, sources: [source], shape: [length], block: null },
  });
  const matrix = (name: string, source: string, cols: number, rows: number): Tensor => ({
    ...{ name, sources: [source], shape: [cols, rows], block },
  });
  const layers = Array.from({ length: at('num_hidden_layers') }, (_, index) => {
    const [own, from] = [`blk.${index}`, `model.layers.${index}`];
    const stack = (name: string, part: string, cols: number, rows: number): Tensor => ({
      name: `${own}.${name}.weight`,
      sources: Array.from({ length: experts }, (__, id) => `${from}.mlp.experts.${id}.${part}.weight`),
      shape: [cols, rows, experts],
      block,
    });
    return [
      vector(`${own}.attn_norm.weight`, `${from}.input_layernorm.weight`, hidden),
      matrix(`${own}.attn_q.weight`, `${from}.self_attn.q_proj.weight`, hidden, queries),
      matrix(`${own}.attn_k.weight`, `${from}.self_attn.k_proj.weight`, hidden, keys),
      matrix(`${own}.attn_v.weight`, `${from}.self_attn.v_proj.weight`, hidden, keys),
      matrix(`${own}.attn_output.weight`, `${from}.self_attn.o_proj.weight`, queries, hidden),
      vector(`${own}.attn_q_norm.weight`, `${from}.self_attn.q_norm.weight`, at('head_dim')),
      vector(`${own}.attn_k_norm.weight`, `${from}.self_attn.k_norm.weight`, at('head_dim')),
      vector(`${own}.ffn_norm.weight`, `${from}.post_attention_layernorm.weight`, hidden),
      { ...matrix(`${own}.ffn_gate_inp.weight`, `${from}.mlp.gate.weight`, hidden, experts), block: null },
      stack('ffn_gate_exps', 'gate_proj', hidden, width),
      stack('ffn_up_exps', 'up_proj', hidden, width),
      stack('ffn_down_exps', 'down_proj', width, hidden),
    ];
  });
  return [
    matrix('token_embd.weight', 'model.embed_tokens.weight', hidden, at('vocab_size')),
    ...layers.flat(),
    vector('output_norm.weight', 'model.norm.weight', hidden),
    matrix('output.weight', 'lm_head.weight', hidden, at('vocab_size')),
  ];
}

function tensorBytes({ shape, block }: Pick<Tensor, 'shape' | 'block'>): number {
  const elements = shape.reduce((product, length) => product * length, 1);
  return block === null ? elements * 4 : (elements / 32) * block.bytes;
}

function padding(bytes: number): number {
  return (alignment - (bytes % alignment)) % alignment;
}

function head(pairs: readonly (readonly [string, number, Value])[], tensors: readonly Tensor[]): Uint8Array {
  const parts: Buffer[] = [Buffer.from('GGUF'), u32(3), u64(tensors.length), u64(pairs.length)];
  for (const [key, type, value] of pairs) parts.push(text(key), u32(type), ...encode(value, type));
  let offset = 0;
  for (const tensor of tensors) {
    const type = tensor.block?.type ?? f32Type;
    parts.push(text(tensor.name), u32(tensor.shape.length), ...tensor.shape.map(u64), u32(type), u64(offset));
    const bytes = tensorBytes(tensor);
    offset += bytes + padding(bytes);
  }
  const all = Buffer.concat(parts);
  return Buffer.concat([all, Buffer.alloc(padding(all.length))]);
}

function encode(value: Value, type: number): Buffer[] {
  if (typeof value === 'string') return [text(value)];
  if (typeof value === 'number') return [type === types.f32 ? f32(value) : u32(value)];
  const inner = typeof value[0] === 'string' ? types.string : types.i32;
  return [u32(inner), u64(value.length), ...value.flatMap((one) => encode(one, inner))];
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function f32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return bytes;
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([u64(bytes.length), bytes]);
}

function toFloats(halves: Uint16Array): Float32Array {
  const bits = Uint32Array.from(halves, (half) => half * 65_536);
  return new Float32Array(bits.buffer);
}

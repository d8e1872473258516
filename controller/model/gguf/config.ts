/** What config.json would say, from a GGUF file's metadata. */
import { type Problems, quote } from '../config/problems.ts';
import type { RopeLayout } from '../config/rope.ts';
import type { GgufValue } from './container.ts';
import { type ExpertNames, numberedExperts, plainExperts } from './names.ts';

type Json = Record<string, unknown>;

export interface GgufConfig {
  readonly config: Json;
  readonly experts: ExpertNames;
  /** Other than the family's where the converter permuted queries and keys; null: the family's. */
  readonly ropeLayout: RopeLayout | null;
}

interface Architecture {
  readonly modelType: string;
  /** Where the model has experts, if that is another family. */
  readonly withExperts?: string;
  readonly permuted?: boolean;
  readonly more?: Json;
}

const architectures: Readonly<Record<string, Architecture>> = {
  llama: { modelType: 'llama', withExperts: 'mixtral', permuted: true },
  qwen2: { modelType: 'qwen2' },
  qwen3: { modelType: 'qwen3' },
  qwen2moe: { modelType: 'qwen2_moe', more: { norm_topk_prob: false } },
  qwen3moe: { modelType: 'qwen3_moe', more: { norm_topk_prob: true } },
};

/** Keys below the architecture's name, and what config.json calls them. */
const keys: Readonly<Record<string, string>> = {
  block_count: 'num_hidden_layers',
  context_length: 'max_position_embeddings',
  embedding_length: 'hidden_size',
  feed_forward_length: 'intermediate_size',
  'attention.head_count': 'num_attention_heads',
  'attention.head_count_kv': 'num_key_value_heads',
  'attention.key_length': 'head_dim',
  'attention.layer_norm_rms_epsilon': 'rms_norm_eps',
  'rope.freq_base': 'rope_theta',
  expert_count: 'num_experts',
  expert_used_count: 'num_experts_per_tok',
  expert_feed_forward_length: 'moe_intermediate_size',
  expert_shared_feed_forward_length: 'shared_expert_intermediate_size',
};

/** Keys that are read below, or say nothing that others do not. */
const otherKeys = new Set([
  'attention.value_length',
  'rope.dimension_count',
  'vocab_size',
  'rope.scaling.type',
  'rope.scaling.factor',
  'rope.scaling.original_context_length',
  'rope.scaling.attn_factor',
  'rope.scaling.finetuned',
  'rope.scaling.yarn_beta_fast',
  'rope.scaling.yarn_beta_slow',
]);

/** Reports what is unknown, by key and value, and returns null. */
export function readGgufConfig(
  metadata: ReadonlyMap<string, GgufValue>,
  { vocabulary, tied }: { readonly vocabulary: number; readonly tied: boolean },
  problems: Problems,
): GgufConfig | null {
  const name = metadata.get('general.architecture');
  const architecture = typeof name === 'string' && Object.hasOwn(architectures, name) ? architectures[name] : undefined;
  if (architecture === undefined) {
    const supported = Object.keys(architectures).join(', ');
    problems.add(`general.architecture is ${quote(name ?? null)}; supported: ${supported}`);
    return null;
  }
  const own = new Map<string, GgufValue>();
  for (const [key, value] of metadata) {
    if (key.startsWith(`${String(name)}.`)) own.set(key.slice(String(name).length + 1), value);
  }
  const config: Json = { ...architecture.more, vocab_size: vocabulary, tie_word_embeddings: tied };
  for (const [key, value] of own) {
    const known = Object.hasOwn(keys, key) ? keys[key] : undefined;
    if (known !== undefined) config[known] = Array.isArray(value) ? uniform(value) : value;
    else if (!otherKeys.has(key)) problems.add(`${String(name)}.${key} is ${quote(value)}, which is not supported`);
  }
  checkWidths(own, config, String(name), problems);
  const scaling = ropeScaling(own);
  if (scaling !== null) config['rope_scaling'] = scaling;
  for (const token of ['bos', 'eos']) {
    const id = metadata.get(`tokenizer.ggml.${token}_token_id`);
    if (typeof id === 'number') config[`${token}_token_id`] = id;
  }
  const expertCount = config['num_experts'] ?? 0;
  const hasExperts = typeof expertCount === 'number' && expertCount > 0;
  config['model_type'] = (hasExperts && architecture.withExperts) || architecture.modelType;
  return {
    config,
    experts: config['model_type'] === 'mixtral' ? numberedExperts : plainExperts,
    ropeLayout: architecture.permuted ? 'interleaved' : null,
  };
}

/** A value for each layer, where all are the same. */
function uniform(values: readonly GgufValue[]): unknown {
  return values.every((value) => value === values[0]) ? values[0] : values;
}

function checkWidths(own: ReadonlyMap<string, GgufValue>, config: Json, name: string, problems: Problems): void {
  const [hidden, heads] = [Number(config['hidden_size']), Number(config['num_attention_heads'])];
  const width = Number(config['head_dim'] ?? hidden / heads);
  for (const key of ['attention.value_length', 'rope.dimension_count']) {
    const value = own.get(key) ?? width;
    if (value !== width) problems.add(`${name}.${key} is ${quote(value)}; supported: the width of a head, ${width}`);
  }
}

function ropeScaling(own: ReadonlyMap<string, GgufValue>): Json | null {
  const get = (key: string) => own.get(`rope.scaling.${key}`);
  const type = get('type');
  if (type === undefined || type === 'none') return null;
  const given = {
    rope_type: type,
    factor: get('factor'),
    original_max_position_embeddings: get('original_context_length'),
    attention_factor: get('attn_factor'),
    beta_fast: get('yarn_beta_fast'),
    beta_slow: get('yarn_beta_slow'),
  };
  const known = type === 'linear' ? { rope_type: type, factor: given.factor } : given;
  return Object.fromEntries(Object.entries(known).filter(([, value]) => value !== undefined));
}

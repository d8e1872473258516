/** What config.json would say, from a GGUF file's metadata. */
import { rmsNorm } from '../../checkpoint/parts.ts';
import { type Problems, quote } from '../../config/problems.ts';
import { type ModelStyle, plainStyle } from '../../families/family.ts';
import type { GgufValue } from '../container.ts';
import type { Architecture, GgufFacts, Json } from './architecture.ts';
import { architectures } from './architectures.ts';
import { plainExperts, type TensorNames } from './names.ts';

export interface GgufConfig {
  readonly config: Json;
  readonly names: TensorNames;
  /** What of the family's style the file does in another way. */
  readonly style: Partial<ModelStyle>;
}

/** Keys below the architecture's name, and what config.json calls them; null: read below, or said by others too. */
const keys: Readonly<Record<string, string | null>> = {
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
  'attention.value_length': null,
  'attention.sliding_window_pattern': null,
  'rope.dimension_count': null,
  vocab_size: null,
  'rope.scaling.type': null,
  'rope.scaling.factor': null,
  'rope.scaling.original_context_length': null,
  'rope.scaling.attn_factor': null,
  'rope.scaling.yarn_attn_factor': null,
  'rope.scaling.finetuned': null,
  'rope.scaling.yarn_beta_fast': null,
  'rope.scaling.yarn_beta_slow': null,
};

/** Reports what is unknown, by key and value, and returns null. */
export function readGgufConfig(
  metadata: ReadonlyMap<string, GgufValue>,
  tensors: ReadonlyMap<string, { readonly shape: readonly number[] }>,
  longrope: Json | null,
  problems: Problems,
): GgufConfig | null {
  const name = metadata.get('general.architecture');
  const architecture = typeof name === 'string' && Object.hasOwn(architectures, name) ? architectures[name] : undefined;
  if (architecture === undefined) {
    const supported = Object.keys(architectures).join(', ');
    problems.add(`general.architecture is ${quote(name ?? null)}; supported: ${supported}`);
    return null;
  }
  const shapes = new Map([...tensors].map(([tensor, { shape }]) => [tensor, shape]));
  const facts = factsOf(String(name), metadata, shapes);
  const config: Json = {
    ...architecture.more?.(facts),
    vocab_size: tensors.get('token_embd.weight')?.shape[0] ?? 0,
    tie_word_embeddings: !tensors.has('output.weight'),
  };
  const known: Readonly<Record<string, string | null>> = { ...keys, ...architecture.keys };
  for (const [key, value] of facts.keys) {
    const own = Object.hasOwn(known, key) ? known[key] : undefined;
    if (key === 'attention.sliding_window' && value === 0 && own !== null) config['sliding_window'] = null;
    else if (typeof own === 'string') config[own] = Array.isArray(value) ? uniform(value) : value;
    else if (own === undefined) problems.add(`${String(name)}.${key} is ${quote(value)}, which is not supported`);
  }
  const slides = facts.keys.get('attention.sliding_window_pattern');
  if (Array.isArray(slides)) {
    config['layer_types'] = slides.map((slide) => (slide === true ? 'sliding_attention' : 'full_attention'));
  }
  const drafting = Number(config['num_nextn_predict_layers'] ?? 0);
  config['num_hidden_layers'] = Number(config['num_hidden_layers']) - drafting;
  readWidths(facts, architecture, config, (key, problem) => problems.add(`${String(name)}.${key} ${problem}`));
  readRope(facts, architecture, longrope, config);
  for (const token of ['bos', 'eos']) {
    const id = metadata.get(`tokenizer.ggml.${token}_token_id`);
    if (typeof id === 'number') config[`${token}_token_id`] = id;
  }
  const { modelType, experts = plainExperts, names: inLayer = {} } = architecture;
  config['model_type'] = typeof modelType === 'string' ? modelType : modelType(facts);
  return {
    config,
    names: {
      experts,
      inLayer,
      layers: Number(config['num_hidden_layers']),
      drafting,
    },
    style: {
      ...(architecture.permuted && { ropeLayout: 'interleaved' as const }),
      ...(architecture.plainNorms && { norm: rmsNorm }),
      names: plainStyle.names,
    },
  };
}

function factsOf(name: string, metadata: ReadonlyMap<string, GgufValue>, tensors: GgufFacts['tensors']): GgufFacts {
  const own = new Map<string, GgufValue>();
  for (const [key, value] of metadata) {
    if (key.startsWith(`${name}.`)) own.set(key.slice(name.length + 1), value);
  }
  return { keys: own, tensors };
}

/** A value for each layer, where all are the same. */
function uniform(values: readonly GgufValue[]): unknown {
  return values.every((value) => value === values[0]) ? values[0] : values;
}

function readWidths(
  { keys: own }: GgufFacts,
  { partialRotary = false, ownWidths = false }: Architecture,
  config: Json,
  report: (key: string, problem: string) => void,
): void {
  if (ownWidths) return;
  const [hidden, heads] = [Number(config['hidden_size']), Number(config['num_attention_heads'])];
  const width = Number(config['head_dim'] ?? hidden / heads);
  const expected = (key: string) => {
    const value = own.get(key) ?? width;
    if (value !== width) report(key, `is ${quote(value)}; supported: the width of a head, ${width}`);
  };
  expected('attention.value_length');
  if (partialRotary) config['partial_rotary_factor'] = Number(own.get('rope.dimension_count') ?? width) / width;
  else expected('rope.dimension_count');
}

/** The rope; layers with a window may have one of their own, which is never scaled. */
function readRope(facts: GgufFacts, architecture: Architecture, longrope: Json | null, config: Json): void {
  const { keys: own } = facts;
  const known = ropeScaling(own, longrope);
  const scaling = known && { ...known, ...architecture.scaling?.(facts) };
  const theta = config['rope_theta'];
  const sliding = own.get('rope.freq_base_swa');
  if (sliding !== undefined) {
    const { partial_rotary_factor: part } = config;
    const partial = part === undefined ? {} : { partial_rotary_factor: part };
    config['rope_parameters'] = {
      full_attention: { rope_theta: theta, rope_type: 'default', ...partial, ...scaling },
      sliding_attention: { rope_theta: sliding, rope_type: 'default' },
    };
  } else if (scaling !== null) config['rope_scaling'] = scaling;
}

function ropeScaling(own: ReadonlyMap<string, GgufValue>, longrope: Json | null): Json | null {
  const get = (key: string) => own.get(`rope.scaling.${key}`);
  const type = longrope === null ? get('type') : 'longrope';
  if (type === undefined || type === 'none') return null;
  const given = {
    ...longrope,
    rope_type: type,
    factor: get('factor'),
    original_max_position_embeddings: get('original_context_length'),
    attention_factor: get('attn_factor') ?? get('yarn_attn_factor'),
    beta_fast: get('yarn_beta_fast'),
    beta_slow: get('yarn_beta_slow'),
  };
  const known = type === 'linear' ? { rope_type: type, factor: given.factor } : given;
  return Object.fromEntries(Object.entries(known).filter(([, value]) => value !== undefined));
}

/**
 * config.json as the families read it. Keys keep the names that the file uses, so that an error points at the line.
 */
import { z } from 'zod';
import { compressedKeys } from './compressed.ts';
import { gateKeys } from './gates.ts';
import { indexerKeys } from './indexer.ts';
import { isObject } from './json.ts';
import { layerKeys } from './layers.ts';
import { linearAttentionKeys } from './linear-attention.ts';
import { quote } from './problems.ts';
import { windowKeys } from './window.ts';

const size = z.int().min(1).max(0x7fffffff);
const factor = z.number().positive().max(1e30);
/** Names that some families give the kinds of their layers. */
const layerNames: Readonly<Record<string, string>> = { mamba: 'linear_attention', attention: 'full_attention' };
const layerType = z.preprocess(
  (given) => (typeof given === 'string' ? (layerNames[given] ?? given) : given),
  z.enum([
    'full_attention',
    'sliding_attention',
    'chunked_attention',
    'linear_attention',
    'indexed_attention',
    'minimax_m3_sparse',
    'compressed_sparse_attention',
    'heavily_compressed_attention',
    'conv',
    'mlp',
    'moe',
  ]),
);
const tokenId = z.int().min(0).max(0x7fffffff);

/** What attention reads of the rope's parameters: of queries that grow with their position, and of the scale. */
const ropeKeys = {
  /** Null: they do not. */
  llama_4_scaling_beta: z.number().min(0).max(1e30).nullable(),
  /** Null: max_position_embeddings. */
  original_max_position_embeddings: size.nullable(),
  rope_type: z.string(),
  factor: factor.nullable(),
  /** Null: 0. */
  mscale_all_dim: z.number().min(0).max(1e30).nullable(),
} as const;

/** Every key that some family reads. */
const keys = {
  vocab_size: size,
  hidden_size: size,
  intermediate_size: size,
  num_hidden_layers: size,
  num_attention_heads: size,
  /** Null: as many as query heads. */
  num_key_value_heads: size.nullable(),
  /** Null: hidden_size / num_attention_heads. */
  head_dim: z.int().min(2).max(65_536).multipleOf(2).nullable(),
  hidden_act: z.enum(['silu', 'swish', 'gelu_pytorch_tanh']),
  max_position_embeddings: size,
  rms_norm_eps: z.number().positive().max(1),
  tie_word_embeddings: z.boolean(),
  /** Resolved by rope.ts; here only the default. */
  rope_theta: z.number(),
  bos_token_id: tokenId.nullable(),
  eos_token_id: z.union([tokenId, z.array(tokenId)]).nullable(),
  ...windowKeys,
  /** Null: what the window keys say. */
  layer_types: z.array(layerType).nullable(),
  attention_bias: z.boolean(),
  qkv_bias: z.boolean(),
  mlp_bias: z.boolean(),
  clip_qkv: z.number().positive().max(1e30).nullable(),
  // The engine's gate takes no more (native/include/conclave/base/operator_parameters.h).
  num_experts: z.int().min(0).max(1_024),
  num_experts_per_tok: z.int().min(0).max(32),
  moe_intermediate_size: size,
  shared_expert_intermediate_size: size,
  norm_topk_prob: z.boolean(),
  mlp_only_layers: z.array(z.int().min(0)).nullable(),
  decoder_sparse_step: size,
  use_qk_norm: z.boolean(),
  use_bias: z.boolean(),
  lm_head_bias: z.boolean(),
  /** Layers before this one are dense. */
  first_k_dense_replace: z.int().min(0),
  /** Null: none. */
  num_nextn_predict_layers: z.int().min(0).nullable(),
  n_shared_experts: z.int().min(0),
  shared_intermediate_size: z.int().min(0),
  /** Null: as first_k_dense_replace says. */
  mlp_layer_types: z.array(z.enum(['dense', 'sparse'])).nullable(),
  /** Null: 1. */
  routed_scaling_factor: factor.nullable(),
  /** Null: 1, as topk_group. */
  n_group: z.int().min(1).nullable(),
  topk_group: z.int().min(1).nullable(),
  topk_method: z.enum(['greedy', 'group_limited_greedy', 'noaux_tc']),
  scoring_func: z.enum(['softmax', 'sigmoid', 'sqrtsoftplus']),
  moe_layer_freq: z.literal(1),
  /** Null: queries are made of the input itself. */
  q_lora_rank: size.nullable(),
  kv_lora_rank: size,
  qk_nope_head_dim: size,
  qk_rope_head_dim: z.int().min(2).max(65_536).multipleOf(2),
  v_head_dim: size,
  rope_interleave: z.boolean(),
  /** 1: full attention. Null: all are. */
  attn_type_list: z.array(z.literal(1)).nullable(),
  qk_norm_type: z.literal('per_layer'),
  use_routing_bias: z.literal(true),
  moe_layer_start_index: z.int().min(0),
  /** Below 0: the last layer. */
  moe_layer_end_index: z.int().min(-1),
  moe_layer_interval: size,
  moe_norm_min: z.number().min(0).max(1),
  router_jitter_noise: z.number().min(0).max(1),
  attention_multiplier: factor,
  embedding_multiplier: factor,
  residual_multiplier: factor,
  logits_scaling: factor,
  logit_scale: factor,
  query_pre_attn_scalar: factor,
  attn_logit_softcapping: factor.nullable(),
  final_logit_softcapping: factor.nullable(),
  swiglu_alpha: z.literal(1.702),
  swiglu_limit: factor,
  /** "vision": between parts of images alone. */
  use_bidirectional_attention: z.literal([false, null, 'vision']),
  attention_out_bias: z.boolean(),
  mup_enabled: z.boolean(),
  global_attn_every_n_layers: size,
  /** Layers that are no multiple of this have a window. */
  sliding_window_pattern: size.nullable(),
  /** The base of each layer's rope; 0: no rope. */
  layer_rope_theta: z.array(z.number().min(0)).nullable(),
  /** Of ropes that only layers with a window have. */
  rope_local_base_freq: z.number().min(1).max(1e30),
  /** Null: weights are not divided by their sum. */
  moe_normalize_expert_weights: z.literal([1, null]),
  norm_kind: z.enum(['rms', 'layer']),
  ...linearAttentionKeys,
  position_embedding_type: z.enum(['rope', 'nope']).nullable(),
  expert_selection_fn: z.enum(['softmax', 'sigmoid']),
  prefix_dense_intermediate_size: size.nullable(),
  prefix_dense_sliding_window_pattern: size,
  shared_expert_combination_strategy: z.enum(['average', 'sum']),
  ...ropeKeys,
  ...indexerKeys,
  ...layerKeys,
  ...gateKeys,
  ...compressedKeys,
  intermediate_size_mlp: size,
  interleave_moe_layer_step: size,
  /** Null: as interleave_moe_layer_step says. */
  moe_layers: z.array(z.int().min(0)).nullable(),
  /** 1: the layer has rope. Null: as no_rope_layer_interval says. */
  no_rope_layers: z.array(z.union([z.literal(0), z.literal(1)])).nullable(),
  no_rope_layer_interval: size,
  /** Null: attention is not chunked. */
  attention_chunk_size: size.nullable(),
  attn_temperature_tuning: z.union([z.boolean(), z.number()]),
  floor_scale: size,
  attn_scale: z.number().min(0).max(1e30),
} as const;

/** The engine's names of hidden_act. */
export const activations = {
  silu: 'ACTIVATION_SILU',
  swish: 'ACTIVATION_SILU',
  gelu_pytorch_tanh: 'ACTIVATION_GELU_TANH',
} as const;

/** config.json with every key that some family reads. */
export type ModelConfig = { readonly [Key in keyof typeof keys]: z.infer<(typeof keys)[Key]> };
export type ConfigKey = keyof ModelConfig;

/** Keys that every family reads. */
export type SharedKey =
  | 'vocab_size'
  | 'hidden_size'
  | 'intermediate_size'
  | 'num_hidden_layers'
  | 'num_attention_heads'
  | 'num_key_value_heads'
  | 'head_dim'
  | 'hidden_act'
  | 'max_position_embeddings'
  | 'rms_norm_eps'
  | 'tie_word_embeddings'
  | 'rope_theta'
  | 'bos_token_id'
  | 'eos_token_id';

/** Other names under which a key is found. */
const aliases: Readonly<Partial<Record<ConfigKey, readonly string[]>>> = {
  hidden_act: ['hidden_activation'],
  rms_norm_eps: ['layer_norm_eps'],
  n_shared_experts: ['moe_num_shared_experts', 'num_shared_experts'],
  first_k_dense_replace: ['num_dense_layers'],
  layer_types: ['layers_block_type'],
  routed_scaling_factor: ['router_scaling_factor', 'route_scale', 'moe_routed_scaling_factor'],
  sliding_window_pattern: ['_sliding_window_pattern'],
  num_experts: ['num_local_experts', 'n_routed_experts', 'moe_num_experts'],
  num_experts_per_tok: ['moe_k', 'moe_topk', 'num_experts_per_token', 'top_k_experts'],
  norm_topk_prob: ['moe_renormalize'],
  n_group: ['num_expert_group'],
  scoring_func: ['moe_router_activation_func'],
  index_n_heads: ['sparse_num_index_heads'],
  index_head_dim: ['sparse_index_dim'],
  index_block_size: ['sparse_block_size'],
  index_topk_blocks: ['sparse_topk_blocks'],
  index_local_blocks: ['sparse_local_block'],
  rope_type: ['type'],
  expert_layer_types: ['mlp_layer_types'],
};

/**
 * The keys of `defaults` from a parsed config.json; a key that the file leaves out has its default. Reports what is wrong
 * and returns null.
 */
export function readConfig<Keys extends ConfigKey>(
  json: Readonly<Record<string, unknown>>,
  defaults: Pick<ModelConfig, Keys>,
  report: (problem: string) => void,
): Pick<ModelConfig, Keys> | null {
  const file = { ...ropeKeysOf(json), ...json };
  let valid = true;
  const values: Record<string, unknown> = {};
  const fail = (problem: string) => {
    valid = false;
    report(problem);
  };
  for (const [key, fallback] of Object.entries(defaults) as [ConfigKey, unknown][]) {
    const given = [key, ...(aliases[key] ?? [])].filter((name) => file[name] !== undefined);
    const named = given.filter((name) => file[name] !== null);
    const names = named.length > 0 ? named : given;
    const [name = key, ...others] = names;
    for (const other of others.filter((other) => quote(file[other]) !== quote(file[name]))) {
      fail(`${name} is ${quote(file[name])}, ${other} is ${quote(file[other])}; they mean the same`);
    }
    // rope.ts checks rope_theta, wherever it stands.
    if (key === 'rope_theta') {
      values[key] = fallback;
      continue;
    }
    const parsed = keys[key].safeParse(names.length === 0 ? fallback : file[name]);
    if (parsed.success) values[key] = parsed.data;
    else
      for (const issue of parsed.error.issues) fail(`${[name, ...issue.path].join('.')} ${explain(issue, file[name])}`);
  }
  return valid ? (values as Pick<ModelConfig, Keys>) : null;
}

/** Keys of the rope's own objects that attention reads too. */
function ropeKeysOf({ rope_parameters: parameters, rope_scaling: scaling }: Readonly<Record<string, unknown>>) {
  const all = { ...(isObject(scaling) && scaling), ...(isObject(parameters) && parameters) };
  return Object.fromEntries(Object.entries(all).filter(([key]) => Object.hasOwn(ropeKeys, key) || key === 'type'));
}

function explain(issue: z.core.$ZodIssue, value: unknown): string {
  const at = issue.path.reduce<unknown>((inner, key) => (inner as Record<PropertyKey, unknown>)?.[key], value);
  if (issue.code === 'invalid_value') return `is ${quote(at)}; supported: ${issue.values.map(quote).join(', ')}`;
  return `is ${quote(at)}: ${issue.message}`;
}

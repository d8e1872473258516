/** Keys by which layers differ from each other, and what they are made of. */
import { z } from 'zod';
import { isObject } from './json.ts';

const size = z.int().min(1).max(0x7fffffff);
const count = z.int().min(1).max(65_536);
const step = z.preprocess(
  (given) => (isObject(given) && given['__float__'] === 'Infinity' ? Number.MAX_VALUE : given),
  z.number().min(0),
);

/** The keys of config.json, to be read as config.ts does. */
export const layerKeys = {
  linear_head_dim: count,
  linear_num_heads: count,
  /** Each last layer of so many has attention. */
  layer_group_size: size,
  /** Decays are sigmoids of kda_lower_bound. */
  kda_safe_gate: z.boolean(),
  kda_lower_bound: z.number().min(-100).max(0),
  mla_use_nope: z.literal(true),
  mlp_hidden_act: z.literal('relu2'),
  mamba_hidden_act: z.literal('silu'),
  moe_shared_expert_intermediate_size: z.int().min(0),
  /** Experts read and give rows of this width; null: the model's own. */
  moe_latent_size: size.nullable(),
  time_step_min: step,
  conv_L_cache: z.int().min(2).max(64),
  conv_bias: z.boolean(),
  block_multiple_of: size,
  /** Null: widths are not rounded either. */
  block_ffn_dim_multiplier: z.number().positive().max(1e6).nullable(),
  block_auto_adjust_ff_dim: z.boolean(),
  use_expert_bias: z.boolean(),
  mamba_dt_rank: z.union([size, z.literal('auto')]),
  attn_layer_period: size,
  attn_layer_offset: z.int().min(0),
  expert_layer_period: size,
  expert_layer_offset: z.int().min(0),
  /** Null: 1. */
  attention_value_scale: z.number().min(-1e30).max(1e30).nullable(),
  /** Of ropes of layers with a window. */
  swa_rope_theta: z.number().min(1).max(1e30),
  num_attention_heads_per_layer: z.array(count).nullable(),
  dense_intermediate_size: size,
  rotary_dim: z.int().min(2).max(65_536).multipleOf(2).nullable(),
  /** Of layers without a window. */
  global_head_dim: z.int().min(2).max(65_536).multipleOf(2),
  num_global_key_value_heads: count.nullable(),
  attention_k_eq_v: z.boolean(),
  enable_moe_block: z.boolean(),
  /** What each layer takes of the tokens themselves; 0: nothing. */
  hidden_size_per_layer_input: z.int().min(0).max(65_536),
  vocab_size_per_layer_input: size.nullable(),
  /** The last layers that read keys and values of earlier ones. */
  num_kv_shared_layers: z.int().min(0),
  /** Networks of those layers are twice as wide. */
  use_double_wide_mlp: z.boolean(),
  /** Experts that give what they read. */
  zero_expert_num: z.int().min(0).max(1_024),
  zero_expert_type: z.literal('identity'),
  router_bias: z.literal(false),
  mla_scale_q_lora: z.boolean(),
  mla_scale_kv_lora: z.boolean(),
} as const;

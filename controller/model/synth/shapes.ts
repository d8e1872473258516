/** The shapes of which random checkpoints can be made, as config.json without what the tokenizer adds. */

/** A configuration, as in config.json. */
export type ShapeConfig = Readonly<Record<string, unknown>>;

const qwen3Moe = {
  architectures: ['Qwen3MoeForCausalLM'],
  model_type: 'qwen3_moe',
  hidden_act: 'silu',
  rms_norm_eps: 1e-6,
  attention_bias: false,
  norm_topk_prob: true,
  decoder_sparse_step: 1,
  mlp_only_layers: [],
  tie_word_embeddings: false,
  dtype: 'bfloat16',
};

const shapes = {
  /** Loads in an instant; what is left to measure is everything but the model. */
  tiny: {
    ...qwen3Moe,
    vocab_size: 264,
    hidden_size: 64,
    intermediate_size: 64,
    moe_intermediate_size: 32,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    head_dim: 16,
    num_experts: 8,
    num_experts_per_tok: 2,
    max_position_embeddings: 8192,
    rope_theta: 10_000,
  },
  /** 1.7 billion parameters: the largest that a small machine measures in comfort. */
  'moe-1b7': {
    ...qwen3Moe,
    vocab_size: 32_000,
    hidden_size: 1024,
    intermediate_size: 3072,
    moe_intermediate_size: 512,
    num_hidden_layers: 16,
    num_attention_heads: 16,
    num_key_value_heads: 4,
    head_dim: 128,
    num_experts: 64,
    num_experts_per_tok: 8,
    max_position_embeddings: 32_768,
    rope_theta: 1_000_000,
  },
  /** A billion parameters with attention over latents, as DeepSeek's models have it. */
  'latent-1b': {
    architectures: ['DeepseekV3ForCausalLM'],
    model_type: 'deepseek_v3',
    hidden_act: 'silu',
    rms_norm_eps: 1e-6,
    attention_bias: false,
    tie_word_embeddings: false,
    dtype: 'bfloat16',
    vocab_size: 32_000,
    hidden_size: 1024,
    intermediate_size: 3072,
    moe_intermediate_size: 512,
    num_hidden_layers: 12,
    num_attention_heads: 16,
    num_key_value_heads: 16,
    q_lora_rank: null,
    kv_lora_rank: 512,
    qk_nope_head_dim: 128,
    qk_rope_head_dim: 64,
    v_head_dim: 128,
    n_routed_experts: 48,
    num_experts_per_tok: 6,
    n_shared_experts: 1,
    first_k_dense_replace: 1,
    n_group: 1,
    topk_group: 1,
    routed_scaling_factor: 2.5,
    norm_topk_prob: true,
    max_position_embeddings: 32_768,
    rope_theta: 10_000,
    num_nextn_predict_layers: 0,
  },
  /** The shape of OLMoE-1B-7B. */
  'olmoe-7b': {
    architectures: ['OlmoeForCausalLM'],
    model_type: 'olmoe',
    hidden_act: 'silu',
    rms_norm_eps: 1e-5,
    attention_bias: false,
    clip_qkv: null,
    norm_topk_prob: false,
    tie_word_embeddings: false,
    dtype: 'bfloat16',
    vocab_size: 50_304,
    hidden_size: 2048,
    intermediate_size: 1024,
    num_hidden_layers: 16,
    num_attention_heads: 16,
    num_key_value_heads: 16,
    num_experts: 64,
    num_experts_per_tok: 8,
    max_position_embeddings: 4096,
    rope_theta: 10_000,
  },
  /** The shape of Qwen3-30B-A3B. */
  'qwen3-30b-a3b': {
    ...qwen3Moe,
    vocab_size: 151_936,
    hidden_size: 2048,
    intermediate_size: 6144,
    moe_intermediate_size: 768,
    num_hidden_layers: 48,
    num_attention_heads: 32,
    num_key_value_heads: 4,
    head_dim: 128,
    num_experts: 128,
    num_experts_per_tok: 8,
    max_position_embeddings: 40_960,
    rope_theta: 1_000_000,
  },
} as const;

export type ShapeName = keyof typeof shapes;

/** Names that `synthesise` takes. */
export const shapeNames = Object.keys(shapes) as readonly ShapeName[];

/** The configuration of a named shape. */
export function shapeConfig(
  name: ShapeName,
): ShapeConfig & { readonly vocab_size: number; readonly max_position_embeddings: number } {
  return shapes[name];
}

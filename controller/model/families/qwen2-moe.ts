import { defineFamily, denseFfn, isSparse, plainAttention, projections, type WindowConfig } from '../family.ts';

export const qwen2Moe = defineFamily({
  modelType: 'qwen2_moe',
  architecture: 'Qwen2MoeForCausalLM',
  defaults: {
    vocab_size: 151_936,
    hidden_size: 2048,
    intermediate_size: 5632,
    num_hidden_layers: 24,
    num_attention_heads: 16,
    num_key_value_heads: 16,
    head_dim: null,
    hidden_act: 'silu',
    max_position_embeddings: 32_768,
    rms_norm_eps: 1e-6,
    tie_word_embeddings: false,
    rope_theta: 10_000,
    bos_token_id: null,
    eos_token_id: null,
    qkv_bias: true,
    sliding_window: 4096,
    use_sliding_window: false,
    max_window_layers: 28,
    layer_types: null,
    num_experts: 60,
    num_experts_per_tok: 4,
    moe_intermediate_size: 1408,
    shared_expert_intermediate_size: 5632,
    norm_topk_prob: false,
    mlp_only_layers: null,
    decoder_sparse_step: 1,
  },
  layer: (config, index) => ({
    attention: { ...plainAttention, qkvBias: config.qkv_bias, slidingWindow: window(config, index) },
    ffn: isSparse(config, index)
      ? {
          kind: 'moe',
          path: 'mlp',
          names: projections,
          experts: config.num_experts,
          topK: config.num_experts_per_tok,
          intermediate: config.moe_intermediate_size,
          renormalise: config.norm_topk_prob,
          shared: { intermediate: config.shared_expert_intermediate_size },
        }
      : denseFfn(config.intermediate_size),
  }),
});

/** Unlike in the other families, `max_window_layers` bounds from above here, and only even layers slide. */
function window(config: WindowConfig, index: number): number {
  if (!config.use_sliding_window) return 0;
  const slides = config.layer_types
    ? config.layer_types[index] === 'sliding_attention'
    : index % 2 === 0 && index < config.max_window_layers;
  return slides ? (config.sliding_window ?? 0) : 0;
}

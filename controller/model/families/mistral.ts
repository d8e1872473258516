import { defineFamily, denseFfn, plainAttention } from '../family.ts';

export const mistral = defineFamily({
  modelType: 'mistral',
  architecture: 'MistralForCausalLM',
  defaults: {
    vocab_size: 32_000,
    hidden_size: 4096,
    intermediate_size: 14_336,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    num_key_value_heads: 8,
    head_dim: null,
    hidden_act: 'silu',
    max_position_embeddings: 131_072,
    rms_norm_eps: 1e-6,
    tie_word_embeddings: false,
    rope_theta: 10_000,
    bos_token_id: 1,
    eos_token_id: 2,
    sliding_window: 4096,
  },
  layer: (config) => ({
    attention: { ...plainAttention, slidingWindow: config.sliding_window ?? 0 },
    ffn: denseFfn(config.intermediate_size),
  }),
});

import { denseFfn } from '../../operators/ffn.ts';
import { plainAttention } from '../../operators/gqa.ts';
import { defineFamily } from '../family.ts';

/** llama with multipliers. */
export const granite = defineFamily({
  modelType: 'granite',
  architecture: 'GraniteForCausalLM',
  defaults: {
    vocab_size: 32_000,
    hidden_size: 4096,
    intermediate_size: 11_008,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    num_key_value_heads: null,
    head_dim: null,
    hidden_act: 'silu',
    max_position_embeddings: 2048,
    rms_norm_eps: 1e-6,
    tie_word_embeddings: false,
    rope_theta: 10_000,
    bos_token_id: 1,
    eos_token_id: 2,
    attention_bias: false,
    mlp_bias: false,
    attention_multiplier: 1,
    embedding_multiplier: 1,
    residual_multiplier: 1,
    logits_scaling: 1,
  },
  style: (config) => ({
    embeddingMultiplier: config.embedding_multiplier,
    logitMultiplier: 1 / config.logits_scaling,
  }),
  layer: (config) => {
    const { attention_bias: bias, residual_multiplier: residualMultiplier } = config;
    const attention = { ...plainAttention, qkvBias: bias, outputBias: bias, scale: config.attention_multiplier };
    const network = denseFfn(config.intermediate_size, config.mlp_bias);
    return [
      { preNorm: 'input_layernorm', operators: [attention], residualMultiplier },
      { preNorm: 'post_attention_layernorm', operators: [network], residualMultiplier },
    ];
  },
});

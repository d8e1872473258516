import { denseFfn } from '../../operators/ffn.ts';
import { plainAttention } from '../../operators/gqa.ts';
import { attentionThenFfn, defineFamily } from '../family.ts';

export const llama = defineFamily({
  modelType: 'llama',
  architecture: 'LlamaForCausalLM',
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
  },
  layer: (config) =>
    attentionThenFfn(
      { ...plainAttention, qkvBias: config.attention_bias, outputBias: config.attention_bias },
      denseFfn(config.intermediate_size, config.mlp_bias),
    ),
});

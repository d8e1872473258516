import { window, windowDefaults } from '../../config/window.ts';
import { denseFfn } from '../../operators/ffn.ts';
import { plainAttention } from '../../operators/gqa.ts';
import { attentionThenFfn, defineFamily } from '../family.ts';

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
    ...windowDefaults(4096),
  },
  layer: (config) =>
    attentionThenFfn({ ...plainAttention, window: window(config) }, denseFfn(config.intermediate_size)),
});

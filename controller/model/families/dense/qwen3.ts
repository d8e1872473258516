import { layeredWindow, layeredWindowDefaults } from '../../config/window.ts';
import { denseFfn } from '../../operators/ffn.ts';
import { plainAttention } from '../../operators/gqa.ts';
import { attentionThenFfn, defineFamily } from '../family.ts';

export const qwen3 = defineFamily({
  modelType: 'qwen3',
  architecture: 'Qwen3ForCausalLM',
  defaults: {
    vocab_size: 151_936,
    hidden_size: 4096,
    intermediate_size: 22_016,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    num_key_value_heads: 32,
    head_dim: 128,
    hidden_act: 'silu',
    max_position_embeddings: 32_768,
    rms_norm_eps: 1e-6,
    tie_word_embeddings: false,
    rope_theta: 10_000,
    bos_token_id: null,
    eos_token_id: null,
    attention_bias: false,
    ...layeredWindowDefaults,
  },
  layer: (config, index) =>
    attentionThenFfn(
      {
        ...plainAttention,
        qkvBias: config.attention_bias,
        outputBias: config.attention_bias,
        qkNorm: 'per-head',
        window: layeredWindow(config, index),
      },
      denseFfn(config.intermediate_size),
    ),
});

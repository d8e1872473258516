import { window } from '../../config/window.ts';
import { denseFfn } from '../../operators/ffn.ts';
import { plainAttention } from '../../operators/gqa.ts';
import { attentionThenFfn, defineFamily } from '../family.ts';

/** llama with one matrix for queries, keys and values, and one for gate and up. */
export const phi3 = defineFamily({
  modelType: 'phi3',
  architecture: 'Phi3ForCausalLM',
  defaults: {
    vocab_size: 32_064,
    hidden_size: 3072,
    intermediate_size: 8192,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    num_key_value_heads: null,
    head_dim: null,
    hidden_act: 'silu',
    max_position_embeddings: 4096,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: false,
    rope_theta: 10_000,
    bos_token_id: 1,
    eos_token_id: 32_000,
    attention_bias: false,
    sliding_window: null,
  },
  style: () => ({ partialRotary: 1 }),
  layer: (config) =>
    attentionThenFfn(
      { ...plainAttention, fused: 'qkv_proj', window: window(config) },
      { ...denseFfn(config.intermediate_size), names: { gateUp: 'gate_up_proj', down: 'down_proj' } },
    ),
});

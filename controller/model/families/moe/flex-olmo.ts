import { plainMoe, softmaxGate } from '../../operators/moe.ts';
import { olmoAttention } from '../dense/olmo.ts';
import { defineFamily, normedOutputs } from '../family.ts';

/** Experts in olmo2's layers. */
export const flexOlmo = defineFamily({
  modelType: 'flex_olmo',
  architecture: 'FlexOlmoForCausalLM',
  defaults: {
    vocab_size: 100_352,
    hidden_size: 4096,
    intermediate_size: 11_008,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    num_key_value_heads: null,
    head_dim: null,
    hidden_act: 'silu',
    max_position_embeddings: 4096,
    rms_norm_eps: 1e-6,
    tie_word_embeddings: false,
    rope_theta: 500_000,
    bos_token_id: null,
    eos_token_id: 100_257,
    attention_bias: false,
    num_experts: 7,
    num_experts_per_tok: 5,
    norm_topk_prob: false,
  },
  layer: (config) =>
    normedOutputs(olmoAttention(config), {
      ...plainMoe,
      experts: config.num_experts,
      topK: config.num_experts_per_tok,
      intermediate: config.intermediate_size,
      gate: softmaxGate(config.norm_topk_prob),
    }),
});

import { numbered } from '../../operators/ffn.ts';
import { plainAttention } from '../../operators/gqa.ts';
import { plainMoe, sigmoidGate } from '../../operators/moe.ts';
import { attentionThenFfn, defineFamily } from '../family.ts';

export const minimaxM2 = defineFamily({
  modelType: 'minimax_m2',
  architecture: 'MiniMaxM2ForCausalLM',
  defaults: {
    vocab_size: 200_064,
    hidden_size: 3072,
    intermediate_size: 1536,
    num_hidden_layers: 62,
    num_attention_heads: 48,
    num_key_value_heads: 8,
    head_dim: 128,
    hidden_act: 'silu',
    max_position_embeddings: 196_608,
    rms_norm_eps: 1e-6,
    tie_word_embeddings: false,
    rope_theta: 5_000_000,
    bos_token_id: null,
    eos_token_id: null,
    num_experts: 256,
    num_experts_per_tok: 8,
    attn_type_list: null,
    use_qk_norm: true,
    qk_norm_type: 'per_layer',
    use_routing_bias: true,
    scoring_func: 'sigmoid',
    shared_intermediate_size: 0,
  },
  style: () => ({ partialRotary: 1 }),
  problem: ({ use_qk_norm: norms, scoring_func: scoring, shared_intermediate_size: shared }) => {
    if (!norms) return 'use_qk_norm is false; supported: true';
    if (scoring !== 'sigmoid') return `scoring_func is "${scoring}"; supported: "sigmoid"`;
    return shared === 0 ? null : `shared_intermediate_size is ${shared}; supported: 0`;
  },
  layer: (config) =>
    attentionThenFfn(
      { ...plainAttention, qkNorm: 'full-width' },
      {
        ...plainMoe,
        path: 'block_sparse_moe',
        names: numbered,
        experts: config.num_experts,
        topK: config.num_experts_per_tok,
        intermediate: config.intermediate_size,
        gate: sigmoidGate('e_score_correction_bias', config.num_experts),
      },
    ),
});

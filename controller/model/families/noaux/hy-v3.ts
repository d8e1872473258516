import { denseFfn } from '../../operators/ffn.ts';
import { plainAttention } from '../../operators/gqa.ts';
import { noauxExperts } from '../../operators/noaux.ts';
import { attentionThenFfn, defineFamily, isDense } from '../family.ts';

export const hyV3 = defineFamily({
  modelType: 'hy_v3',
  architecture: 'HYV3ForCausalLM',
  defaults: {
    vocab_size: 120_832,
    hidden_size: 4096,
    intermediate_size: 13_312,
    num_hidden_layers: 80,
    num_attention_heads: 64,
    num_key_value_heads: 8,
    head_dim: 128,
    hidden_act: 'silu',
    max_position_embeddings: 131_072,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: false,
    rope_theta: 11_158_840,
    bos_token_id: null,
    eos_token_id: null,
    attention_bias: false,
    mlp_bias: false,
    num_experts: 192,
    num_experts_per_tok: 8,
    moe_intermediate_size: 1536,
    n_shared_experts: 1,
    first_k_dense_replace: 1,
    mlp_layer_types: null,
    routed_scaling_factor: 2.826,
  },
  problem: ({ mlp_bias: bias }) => (bias ? 'mlp_bias is true; supported: false' : null),
  layer: (config, index) => {
    const attention = {
      ...plainAttention,
      qkvBias: config.attention_bias,
      outputBias: config.attention_bias,
      qkNorm: 'per-head',
    } as const;
    if (isDense(config, index)) return attentionThenFfn(attention, denseFfn(config.intermediate_size));
    const names = { correction: 'expert_bias', gate: 'router.gate', shared: 'shared_mlp' };
    const keys = { ...config, n_group: 1, topk_group: 1, norm_topk_prob: true };
    return attentionThenFfn(attention, ...noauxExperts(keys, names));
  },
});

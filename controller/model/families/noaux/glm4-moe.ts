import { denseFfn } from '../../operators/ffn.ts';
import { plainAttention } from '../../operators/gqa.ts';
import { noauxDefaults, noauxExperts } from '../../operators/noaux.ts';
import { attentionThenFfn, defineFamily, isDense, isPredictionLayer } from '../family.ts';

export const glm4Moe = defineFamily({
  modelType: 'glm4_moe',
  architecture: 'Glm4MoeForCausalLM',
  defaults: {
    vocab_size: 151_552,
    hidden_size: 4096,
    intermediate_size: 10_944,
    num_hidden_layers: 46,
    num_attention_heads: 96,
    num_key_value_heads: 8,
    head_dim: null,
    hidden_act: 'silu',
    max_position_embeddings: 131_072,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: false,
    rope_theta: 10_000,
    bos_token_id: null,
    eos_token_id: null,
    attention_bias: false,
    use_qk_norm: false,
    num_experts: 128,
    num_experts_per_tok: 8,
    moe_intermediate_size: 1408,
    n_shared_experts: 1,
    first_k_dense_replace: 1,
    mlp_layer_types: null,
    ...noauxDefaults,
    routed_scaling_factor: 1,
    num_nextn_predict_layers: null,
  },
  style: (config) => ({ partialRotary: 0.5, unused: (name) => isPredictionLayer(name, config) }),
  layer: (config, index) => {
    const attention = {
      ...plainAttention,
      qkvBias: config.attention_bias,
      qkNorm: config.use_qk_norm ? 'per-head' : 'none',
    } as const;
    if (isDense(config, index)) return attentionThenFfn(attention, denseFfn(config.intermediate_size));
    return attentionThenFfn(attention, ...noauxExperts(config));
  },
});

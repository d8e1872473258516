import { plainAttention } from '../../operators/gqa.ts';
import { noauxDefaults, noauxExperts } from '../../operators/noaux.ts';
import { attentionThenFfn, defineFamily } from '../family.ts';

export const solarOpen = defineFamily({
  modelType: 'solar_open',
  architecture: 'SolarOpenForCausalLM',
  defaults: {
    vocab_size: 196_608,
    hidden_size: 4096,
    intermediate_size: 10_240,
    num_hidden_layers: 48,
    num_attention_heads: 64,
    num_key_value_heads: 8,
    head_dim: 128,
    hidden_act: 'silu',
    max_position_embeddings: 131_072,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: false,
    rope_theta: 1_000_000,
    bos_token_id: null,
    eos_token_id: null,
    attention_bias: false,
    num_experts: 128,
    num_experts_per_tok: 8,
    moe_intermediate_size: 1280,
    n_shared_experts: 1,
    ...noauxDefaults,
    routed_scaling_factor: 1,
  },
  style: () => ({ partialRotary: 1 }),
  layer: (config) => attentionThenFfn({ ...plainAttention, qkvBias: config.attention_bias }, ...noauxExperts(config)),
});

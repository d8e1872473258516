import { windowIf } from '../../config/window.ts';
import { denseFfn } from '../../operators/ffn.ts';
import { plainAttention } from '../../operators/gqa.ts';
import { noauxDefaults, noauxExperts } from '../../operators/noaux.ts';
import { attentionThenFfn, defineFamily, isDense } from '../family.ts';

/** Where layers have windows, those without one have no rope. */
export const exaoneMoe = defineFamily({
  modelType: 'exaone_moe',
  architecture: 'ExaoneMoeForCausalLM',
  defaults: {
    vocab_size: 102_400,
    hidden_size: 4096,
    intermediate_size: 16_384,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    num_key_value_heads: 32,
    head_dim: null,
    hidden_act: 'silu',
    max_position_embeddings: 2048,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: false,
    rope_theta: 1_000_000,
    bos_token_id: null,
    eos_token_id: null,
    sliding_window: null,
    sliding_window_pattern: 4,
    layer_types: null,
    num_experts: 64,
    num_experts_per_tok: 8,
    moe_intermediate_size: 1024,
    n_shared_experts: 1,
    first_k_dense_replace: 1,
    mlp_layer_types: null,
    ...noauxDefaults,
    routed_scaling_factor: 2.5,
  },
  style: () => ({ unused: (name) => name.startsWith('model.mtp') }),
  layer: (config, index) => {
    const { layer_types: types, sliding_window: window, sliding_window_pattern: pattern } = config;
    const inPattern = pattern !== null && (index + 1) % pattern !== 0;
    const slides = window !== null && (types ? types[index] === 'sliding_attention' : inPattern);
    const attention = {
      ...plainAttention,
      qkNorm: 'per-head',
      rope: slides || window === null ? 0 : null,
      window: windowIf(slides, window),
    } as const;
    const experts = noauxExperts(config, { correction: 'e_score_correction_bias' });
    const ffn = isDense(config, index) ? [denseFfn(config.intermediate_size)] : experts;
    return attentionThenFfn(attention, ...ffn);
  },
});

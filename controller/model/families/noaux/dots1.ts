import { windowIf } from '../../config/window.ts';
import { denseFfn } from '../../operators/ffn.ts';
import { plainAttention } from '../../operators/gqa.ts';
import { noauxDefaults, noauxExperts } from '../../operators/noaux.ts';
import { attentionThenFfn, defineFamily, isDense } from '../family.ts';

export const dots1 = defineFamily({
  modelType: 'dots1',
  architecture: 'Dots1ForCausalLM',
  defaults: {
    vocab_size: 152_064,
    hidden_size: 4608,
    intermediate_size: 10_944,
    num_hidden_layers: 62,
    num_attention_heads: 32,
    num_key_value_heads: 32,
    head_dim: null,
    hidden_act: 'silu',
    max_position_embeddings: 2048,
    rms_norm_eps: 1e-6,
    tie_word_embeddings: false,
    rope_theta: 10_000,
    bos_token_id: null,
    eos_token_id: null,
    attention_bias: false,
    sliding_window: 4096,
    max_window_layers: 62,
    layer_types: null,
    num_experts: 128,
    num_experts_per_tok: 6,
    moe_intermediate_size: 1408,
    n_shared_experts: 2,
    first_k_dense_replace: 0,
    mlp_layer_types: null,
    ...noauxDefaults,
    norm_topk_prob: false,
    routed_scaling_factor: 1,
  },
  layer: (config, index) => {
    const types = config.layer_types;
    const slides = types ? types[index] === 'sliding_attention' : index >= config.max_window_layers;
    const attention = {
      ...plainAttention,
      qkvBias: config.attention_bias,
      outputBias: config.attention_bias,
      qkNorm: 'per-head',
      window: windowIf(slides, config.sliding_window),
    } as const;
    const ffn = isDense(config, index) ? [denseFfn(config.intermediate_size)] : noauxExperts(config);
    return attentionThenFfn(attention, ...ffn);
  },
});

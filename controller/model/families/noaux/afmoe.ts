import { windowIf } from '../../config/window.ts';
import { denseFfn } from '../../operators/ffn.ts';
import { plainAttention } from '../../operators/gqa.ts';
import { noauxExperts } from '../../operators/noaux.ts';
import { defineFamily, isDense } from '../family.ts';

/** Norms before and after; a gate on what attention gives; rope in layers with a window only. */
export const afmoe = defineFamily({
  modelType: 'afmoe',
  architecture: 'AfmoeForCausalLM',
  defaults: {
    vocab_size: 200_192,
    hidden_size: 2048,
    intermediate_size: 6144,
    num_hidden_layers: 32,
    num_attention_heads: 16,
    num_key_value_heads: null,
    head_dim: 128,
    hidden_act: 'silu',
    max_position_embeddings: 16_384,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: false,
    rope_theta: 10_000,
    bos_token_id: null,
    eos_token_id: null,
    attention_bias: false,
    sliding_window: 1024,
    layer_types: null,
    global_attn_every_n_layers: 4,
    mup_enabled: false,
    num_experts: 64,
    num_experts_per_tok: 6,
    moe_intermediate_size: 1408,
    n_shared_experts: 2,
    first_k_dense_replace: 1,
    mlp_layer_types: null,
    routed_scaling_factor: 1,
  },
  style: (config) => ({ embeddingMultiplier: config.mup_enabled ? Math.sqrt(config.hidden_size) : 1 }),
  layer: (config, index) => {
    const types = config.layer_types;
    const everyNth = (index + 1) % config.global_attn_every_n_layers !== 0;
    const slides = types ? types[index] === 'sliding_attention' : everyNth;
    const attention = {
      ...plainAttention,
      qkvBias: config.attention_bias,
      outputBias: config.attention_bias,
      qkNorm: 'per-head',
      rope: slides ? 0 : null,
      window: windowIf(slides, config.sliding_window),
      outputGate: 'gate_proj',
    } as const;
    const keys = { ...config, n_group: 1, topk_group: 1, norm_topk_prob: true };
    const experts = noauxExperts(keys, { correction: 'expert_bias', gate: 'router.gate' });
    const ffn = isDense(config, index) ? [denseFfn(config.intermediate_size)] : experts;
    return [
      { preNorm: 'input_layernorm', operators: [attention], postNorm: 'post_attention_layernorm' },
      { preNorm: 'pre_mlp_layernorm', operators: ffn, postNorm: 'post_mlp_layernorm' },
    ];
  },
});

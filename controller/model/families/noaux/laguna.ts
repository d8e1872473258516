import { windowIf } from '../../config/window.ts';
import { denseFfn, sharedExpert } from '../../operators/ffn.ts';
import { plainAttention } from '../../operators/gqa.ts';
import { plainMoe, sigmoidGate } from '../../operators/moe.ts';
import { attentionThenFfn, defineFamily } from '../family.ts';

/** Layers differ in their number of query heads; what attention gives is gated by a softplus. */
export const laguna = defineFamily({
  modelType: 'laguna',
  architecture: 'LagunaForCausalLM',
  defaults: {
    vocab_size: 100_352,
    hidden_size: 2048,
    intermediate_size: 8192,
    num_hidden_layers: 40,
    num_attention_heads: 48,
    num_key_value_heads: 8,
    head_dim: 128,
    hidden_act: 'silu',
    max_position_embeddings: 131_072,
    rms_norm_eps: 1e-6,
    tie_word_embeddings: false,
    rope_theta: 500_000,
    swa_rope_theta: 10_000,
    bos_token_id: null,
    eos_token_id: null,
    attention_bias: false,
    num_attention_heads_per_layer: null,
    gating: true,
    sliding_window: 512,
    layer_types: null,
    mlp_layer_types: null,
    num_experts: 256,
    num_experts_per_tok: 8,
    moe_intermediate_size: 512,
    shared_expert_intermediate_size: 512,
    moe_router_logit_softcapping: null,
    moe_apply_router_weight_on_input: false,
    routed_scaling_factor: 1,
  },
  style: (config) => ({
    partialRotary: 1,
    ropes: [
      { name: 'full_attention', theta: null },
      { name: 'sliding_attention', theta: config.swa_rope_theta },
    ],
  }),
  problem: ({ num_attention_heads_per_layer: heads, num_hidden_layers: layers, num_key_value_heads: kvHeads }) => {
    if (heads !== null && heads.length !== layers)
      return `num_attention_heads_per_layer has ${heads.length} entries; expected num_hidden_layers, which is ${layers}`;
    const odd = heads?.find((count) => count % (kvHeads ?? 1) !== 0);
    return odd === undefined
      ? null
      : `num_attention_heads_per_layer has ${odd}; expected multiples of num_key_value_heads, which is ${kvHeads}`;
  },
  layer: (config, index) => {
    const { layer_types: types, mlp_layer_types: ffns, num_experts: experts, gating } = config;
    const slides = types ? types[index] === 'sliding_attention' : index % 4 !== 0;
    const attention = {
      ...plainAttention,
      heads: config.num_attention_heads_per_layer?.[index] ?? null,
      qkvBias: config.attention_bias,
      outputBias: config.attention_bias,
      qkNorm: 'per-head',
      rope: slides ? 1 : 0,
      window: windowIf(slides, config.sliding_window),
      outputGate: 'g_proj',
      gateFunction: 'softplus',
      gateByHead: gating !== 'per-element',
    } as const;
    if (ffns ? ffns[index] === 'dense' : index === 0)
      return attentionThenFfn(attention, denseFfn(config.intermediate_size));
    const gate = sigmoidGate('experts.e_score_correction_bias', experts, {
      softcap: config.moe_router_logit_softcapping ?? 0,
      multiplier: config.routed_scaling_factor ?? 1,
    });
    const routed = {
      ...plainMoe,
      experts,
      topK: config.num_experts_per_tok,
      intermediate: config.moe_intermediate_size,
      gate,
    };
    return attentionThenFfn(
      attention,
      routed,
      sharedExpert('mlp.shared_expert', config.shared_expert_intermediate_size),
    );
  },
});

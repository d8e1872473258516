/** Architectures of which some layers have a state instead of keys and values. */
import { type Architecture, has, kvHeads, layersWith, mlpLayers } from './architecture.ts';
import { numberedExperts } from './names.ts';

const lfm2: Architecture = {
  modelType: 'lfm2_moe',
  experts: { ...numberedExperts, gate: 'feed_forward.gate', path: 'feed_forward' },
  names: {
    attn_norm: 'operator_norm',
    attn_output: 'self_attn.out_proj',
    attn_q_norm: 'self_attn.q_layernorm',
    attn_k_norm: 'self_attn.k_layernorm',
    'shortconv.conv': 'conv.conv',
    'shortconv.in_proj': 'conv.in_proj',
    'shortconv.out_proj': 'conv.out_proj',
    ffn_norm: 'ffn_norm',
    ffn_gate: 'feed_forward.w1',
    ffn_up: 'feed_forward.w3',
    ffn_down: 'feed_forward.w2',
    'exp_probs_b.bias': 'feed_forward.expert_bias',
  },
  keys: {
    'attention.head_count_kv': null,
    'shortconv.l_cache': 'conv_L_cache',
    leading_dense_block_count: null,
    expert_gating_func: null,
    expert_weights_norm: 'norm_topk_prob',
    expert_weights_scale: 'routed_scaling_factor',
  },
  more: (facts) => ({
    ...kvHeads(facts),
    ...mlpLayers(facts),
    conv_bias: has(facts, 'shortconv.conv.bias'),
    use_expert_bias: has(facts, 'exp_probs_b.bias'),
    layer_types: layersWith(facts, 'shortconv.conv.weight', 'conv', 'full_attention'),
  }),
};

export const hybridArchitectures: Readonly<Record<string, Architecture>> = { lfm2moe: lfm2 };

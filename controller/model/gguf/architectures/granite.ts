/** Granite's architectures: experts beside a network for every row, and multipliers. */

import { type Architecture, has } from './architecture.ts';
import { plainExperts } from './names.ts';

const graniteKeys = {
  'attention.scale': 'attention_multiplier',
  embedding_scale: 'embedding_multiplier',
  residual_scale: 'residual_multiplier',
  logit_scale: 'logits_scaling',
  expert_shared_feed_forward_length: 'shared_intermediate_size',
} as const;

export const graniteMoe: Architecture = {
  modelType: (facts) => (has(facts, 'ffn_gate_shexp.weight') ? 'granitemoeshared' : 'granitemoe'),
  permuted: true,
  experts: {
    ...plainExperts,
    gate: 'block_sparse_moe.router.layer',
    path: 'block_sparse_moe',
  },
  names: {
    ffn_gate_shexp: 'shared_mlp.gate_proj',
    ffn_up_shexp: 'shared_mlp.up_proj',
    ffn_down_shexp: 'shared_mlp.down_proj',
  },
  keys: graniteKeys,
};

/** The same with experts that a correction of their scores balances. */
import {
  type Architecture,
  afterAttention,
  corrected,
  correctedBy,
  has,
  layersWith,
  mlpLayers,
  noauxKeys,
  number,
  rowsOf,
  sharedExperts,
  sharedNetwork,
} from './architecture.ts';
import { numberedExperts, plainExperts } from './names.ts';

export const correctedArchitectures: Readonly<Record<string, Architecture>> = {
  dots1: { modelType: 'dots1', names: corrected, keys: noauxKeys },
  glm4moe: {
    modelType: 'glm4_moe',
    partialRotary: true,
    names: { ...corrected, ...afterAttention },
    keys: noauxKeys,
    more: (facts) => ({
      attention_bias: has(facts, 'attn_q.bias'),
      use_qk_norm: has(facts, 'attn_q_norm.weight'),
      first_k_dense_replace: 0,
    }),
  },
  'minimax-m2': {
    modelType: 'minimax_m2',
    partialRotary: true,
    experts: numberedExperts,
    names: correctedBy('block_sparse_moe.e_score_correction_bias'),
    keys: { expert_gating_func: null, expert_feed_forward_length: 'intermediate_size' },
  },
  afmoe: {
    modelType: 'afmoe',
    experts: { ...plainExperts, gate: 'mlp.router.gate' },
    names: {
      ...afterAttention,
      ...sharedExperts,
      ...correctedBy('mlp.expert_bias'),
      attn_gate: 'self_attn.gate_proj',
      ffn_norm: 'pre_mlp_layernorm',
      post_ffw_norm: 'post_mlp_layernorm',
    },
    keys: { ...noauxKeys, 'attention.sliding_window': 'sliding_window' },
    more: (facts) => ({ ...mlpLayers(facts), mup_enabled: true, attention_bias: has(facts, 'attn_q.bias') }),
  },
  'exaone-moe': {
    modelType: 'exaone_moe',
    names: { ...sharedExperts, ...correctedBy('mlp.e_score_correction_bias') },
    keys: {
      ...noauxKeys,
      'attention.sliding_window': 'sliding_window',
      expert_shared_feed_forward_length: null,
    },
    more: mlpLayers,
  },
  hy_v3: {
    modelType: 'hy_v3',
    experts: { ...plainExperts, gate: 'mlp.router.gate' },
    names: { ...sharedNetwork, ...correctedBy('mlp.expert_bias') },
    keys: { ...noauxKeys, expert_shared_feed_forward_length: null },
    more: (facts) => ({
      ...mlpLayers(facts),
      attention_bias: has(facts, 'attn_q.bias'),
      n_shared_experts:
        number(facts, 'expert_shared_feed_forward_length') / number(facts, 'expert_feed_forward_length', 1),
    }),
  },
  'minimax-m3': {
    modelType: 'minimax_m3_vl_text',
    plainNorms: true,
    partialRotary: true,
    experts: numberedExperts,
    names: {
      ...Object.fromEntries(
        Object.entries(sharedExperts).map(([name, own]) => [name, own.replace('mlp', 'block_sparse_moe')]),
      ),
      ...correctedBy('block_sparse_moe.e_score_correction_bias'),
      'indexer.q_proj': 'self_attn.index_q_proj',
      'indexer.k_proj': 'self_attn.index_k_proj',
      'indexer.q_norm': 'self_attn.index_q_norm',
      'indexer.k_norm': 'self_attn.index_k_norm',
    },
    keys: {
      ...noauxKeys,
      feed_forward_length: 'dense_intermediate_size',
      expert_feed_forward_length: 'intermediate_size',
      expert_shared_feed_forward_length: null,
      'attention.indexer.head_count': 'index_n_heads',
      'attention.indexer.key_length': 'index_head_dim',
      'attention.indexer.top_k': 'index_topk_blocks',
      'attention.indexer.block_size': 'index_block_size',
      'attention.indexer.local_blocks': 'index_local_blocks',
    },
    more: (facts) => ({
      ...mlpLayers(facts),
      shared_intermediate_size: rowsOf(facts, 'ffn_gate_shexp.weight'),
      layer_types: layersWith(facts, 'indexer.k_norm.weight', 'minimax_m3_sparse', 'full_attention'),
    }),
  },
  laguna: {
    modelType: 'laguna',
    names: {
      ...correctedBy('mlp.experts.e_score_correction_bias'),
      attn_gate: 'self_attn.g_proj',
    },
    keys: {
      ...noauxKeys,
      'attention.sliding_window': 'sliding_window',
      'attention.head_count': null,
      'rope.freq_base_swa': null,
      'rope.dimension_count_swa': null,
    },
    partialRotary: true,
    more: (facts) => {
      const heads = facts.keys.get('attention.head_count');
      const all = Array.isArray(heads) ? heads.map(Number) : [];
      return {
        ...mlpLayers(facts),
        num_attention_heads: all[0] ?? heads,
        num_attention_heads_per_layer: all.length > 0 ? all : null,
      };
    },
  },
};

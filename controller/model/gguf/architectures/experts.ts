/** Architectures with experts beside attention of keys and values. */
import {
  type Architecture,
  afterAttention,
  correctedBy,
  has,
  layersWith,
  number,
  sharedExperts,
  sharedNetwork,
} from './architecture.ts';
import { graniteMoe } from './granite.ts';
import { numberedExperts, plainExperts } from './names.ts';

const feedForward = {
  ffn_gate: 'feed_forward.gate_proj',
  ffn_up: 'feed_forward.up_proj',
  ffn_down: 'feed_forward.down_proj',
  ffn_gate_shexp: 'feed_forward.shared_expert.gate_proj',
  ffn_up_shexp: 'feed_forward.shared_expert.up_proj',
  ffn_down_shexp: 'feed_forward.shared_expert.down_proj',
} as const;

export const expertArchitectures: Readonly<Record<string, Architecture>> = {
  qwen2moe: { modelType: 'qwen2_moe', more: () => ({ norm_topk_prob: false }) },
  qwen3moe: { modelType: 'qwen3_moe', more: () => ({ norm_topk_prob: true }) },
  olmoe: { modelType: 'olmoe', more: () => ({ norm_topk_prob: false }) },
  granitemoe: graniteMoe,
  'ernie4_5-moe': {
    modelType: 'ernie4_5_moe',
    names: { ...sharedExperts, ...correctedBy('mlp.moe_statics.e_score_correction_bias') },
    keys: {
      interleave_moe_layer_step: 'moe_layer_interval',
      leading_dense_block_count: 'moe_layer_start_index',
      expert_shared_count: 'n_shared_experts',
      expert_shared_feed_forward_length: null,
    },
    more: (facts) => ({ use_bias: has(facts, 'attn_q.bias') }),
  },
  'gpt-oss': {
    modelType: 'gpt_oss',
    experts: { ...plainExperts, gate: 'mlp.router' },
    names: { ...afterAttention, 'attn_sinks.weight': 'self_attn.sinks' },
    keys: {
      'attention.sliding_window': 'sliding_window',
      expert_feed_forward_length: 'intermediate_size',
      feed_forward_length: null,
    },
    scaling: () => ({ truncate: false }),
  },
  llama4: {
    modelType: 'llama4_text',
    experts: { ...plainExperts, gate: 'feed_forward.router', path: 'feed_forward' },
    names: feedForward,
    keys: {
      'attention.sliding_window': null,
      'attention.sliding_window_pattern': null,
      feed_forward_length: 'intermediate_size_mlp',
      expert_feed_forward_length: 'intermediate_size',
      interleave_moe_layer_step: null,
    },
    more: (facts) => ({
      attention_bias: has(facts, 'attn_q.bias'),
      moe_layers: layersWith(facts, 'ffn_gate_inp.weight', true, false).flatMap((sparse, i) => (sparse ? [i] : [])),
      // The largest has no norms of queries and keys.
      use_qk_norm: number(facts, 'expert_count') !== 128,
      // A window of 0: of models that have a rope in every layer, and no chunks.
      ...(facts.keys.get('attention.sliding_window') === 0 && {
        no_rope_layers: layersWith(facts, 'attn_norm.weight', 1, 1),
        attention_chunk_size: null,
      }),
    }),
  },
  phimoe: {
    modelType: 'phimoe',
    partialRotary: true,
    experts: numberedExperts,
    keys: {
      'attention.layer_norm_epsilon': 'layer_norm_eps',
      'attention.sliding_window': 'sliding_window',
      expert_feed_forward_length: 'intermediate_size',
    },
    more: (facts) => ({ attention_bias: has(facts, 'attn_q.bias'), lm_head_bias: facts.tensors.has('output.bias') }),
  },
  dbrx: {
    modelType: 'dbrx',
    experts: { ...plainExperts, gate: 'ffn.router.layer', path: 'ffn' },
    names: {
      attn_norm: 'norm_attn_norm.norm_1',
      attn_qkv: 'norm_attn_norm.attn.Wqkv',
      attn_output: 'norm_attn_norm.attn.out_proj',
      attn_output_norm: 'norm_attn_norm.norm_2',
    },
    keys: { 'attention.layer_norm_epsilon': 'layer_norm_eps', 'attention.clamp_kqv': null },
    more: (facts) => ({
      d_model: number(facts, 'embedding_length'),
      n_heads: number(facts, 'attention.head_count'),
      n_layers: number(facts, 'block_count'),
      max_seq_len: number(facts, 'context_length'),
      attn_config: {
        kv_n_heads: number(facts, 'attention.head_count_kv'),
        clip_qkv: facts.keys.get('attention.clamp_kqv') ?? null,
        rope_theta: number(facts, 'rope.freq_base', 10_000),
      },
      ffn_config: {
        ffn_hidden_size: number(facts, 'feed_forward_length'),
        moe_num_experts: number(facts, 'expert_count'),
        moe_top_k: number(facts, 'expert_used_count'),
        moe_normalize_expert_weights: 1,
        ffn_act_fn: { name: 'silu' },
      },
    }),
  },
  'hunyuan-moe': {
    modelType: 'hunyuan_v1_moe',
    experts: { ...plainExperts, gate: 'mlp.gate.wg' },
    names: { ...sharedNetwork, attn_q_norm: 'self_attn.query_layernorm', attn_k_norm: 'self_attn.key_layernorm' },
    keys: {
      feed_forward_length: null,
      expert_feed_forward_length: 'intermediate_size',
      expert_shared_feed_forward_length: null,
      expert_shared_count: null,
    },
    more: (facts) => ({ attention_bias: has(facts, 'attn_q.bias') }),
  },
  cohere2moe: {
    modelType: 'cohere2_moe',
    names: sharedExperts,
    keys: {
      'attention.layer_norm_epsilon': 'layer_norm_eps',
      'attention.sliding_window': 'sliding_window',
      logit_scale: 'logit_scale',
      feed_forward_length: 'prefix_dense_intermediate_size',
      expert_feed_forward_length: 'intermediate_size',
      expert_shared_feed_forward_length: null,
      expert_shared_count: 'n_shared_experts',
      expert_weights_norm: 'norm_topk_prob',
      expert_gating_func: null,
      leading_dense_block_count: 'first_k_dense_replace',
    },
    more: (facts) => ({
      attention_bias: has(facts, 'attn_q.bias'),
      expert_selection_fn: number(facts, 'expert_gating_func') === 2 ? 'sigmoid' : 'softmax',
    }),
  },
  qwen3vlmoe: {
    modelType: 'qwen3_vl_moe_text',
    keys: { 'rope.dimension_sections': null, n_deepstack_layers: null },
    more: () => ({ norm_topk_prob: true }),
  },
};

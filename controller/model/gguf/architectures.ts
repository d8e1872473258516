/** What GGUF's architectures are among the families, and what their files say in another way. */
import type { GgufValue } from './container.ts';
import { type ExpertNames, numberedExperts, plainExperts } from './names.ts';

export type Json = Record<string, unknown>;

/** What a file says of its architecture. */
export interface GgufFacts {
  /** By key below the architecture's name. */
  readonly keys: ReadonlyMap<string, GgufValue>;
  /** Names of tensors, as ggml writes them. */
  readonly tensors: ReadonlySet<string>;
}

export interface Architecture {
  readonly modelType: string | ((facts: GgufFacts) => string);
  /** Converters permuted rows of queries and keys so that pairs that rotate together are neighbours. */
  readonly permuted?: boolean;
  /** Weights of norms are stored as they multiply, where the family stores them around 0. */
  readonly plainNorms?: boolean;
  /** Rope may be on a part of each head. */
  readonly partialRotary?: boolean;
  readonly experts?: ExpertNames;
  /** Tensors of a layer that lie elsewhere than most architectures' do: name, or name and kind, to the family's. */
  readonly names?: Readonly<Record<string, string>>;
  /** Keys that only it has, and what config.json calls them; null: what they say is known, or read by `more`. */
  readonly keys?: Readonly<Record<string, string | null>>;
  /** What its files do not say, or not by a key of config.json's. */
  readonly more?: (facts: GgufFacts) => Json;
  /** The same of the keys of a rope that is scaled. */
  readonly scaling?: (facts: GgufFacts) => Json;
}

const number = ({ keys }: GgufFacts, key: string, otherwise = 0): number => {
  const value = keys.get(key);
  return typeof value === 'number' ? value : otherwise;
};

/** Whether the first layer that may have it has a tensor. */
const has = ({ tensors }: GgufFacts, name: string): boolean =>
  [...tensors].some((tensor) => tensor.startsWith('blk.') && tensor.endsWith(`.${name}`));

/** How scores grow with the logarithm of how much yarn stretches positions; angles do not grow with it. */
const growth = (multiplier: number): Json => ({ mscale: multiplier, mscale_all_dim: multiplier });

/** Norms before the feed-forward part that most architectures call ffn_norm. */
const afterAttention = { post_attention_norm: 'post_attention_layernorm' } as const;

const sharedExperts = {
  ffn_gate_shexp: 'mlp.shared_experts.gate_proj',
  ffn_up_shexp: 'mlp.shared_experts.up_proj',
  ffn_down_shexp: 'mlp.shared_experts.down_proj',
} as const;

/** Keys of experts that a correction of their scores balances. */
const noauxKeys = {
  expert_shared_count: 'n_shared_experts',
  expert_weights_scale: 'routed_scaling_factor',
  expert_weights_norm: 'norm_topk_prob',
  expert_group_count: 'n_group',
  expert_group_used_count: 'topk_group',
  leading_dense_block_count: 'first_k_dense_replace',
  nextn_predict_layers: 'num_nextn_predict_layers',
  expert_gating_func: null,
} as const;

const correctedBy = (name: string) => ({ 'exp_probs_b.bias': name, exp_probs_b: name });
const corrected = { ...sharedExperts, ...correctedBy('mlp.gate.e_score_correction_bias') };

const gemma: Architecture = {
  modelType: 'gemma2',
  plainNorms: true,
  names: {
    post_attention_norm: 'post_attention_layernorm',
    ffn_norm: 'pre_feedforward_layernorm',
    post_ffw_norm: 'post_feedforward_layernorm',
  },
  keys: {
    'attention.sliding_window': 'sliding_window',
    attn_logit_softcapping: 'attn_logit_softcapping',
    final_logit_softcapping: 'final_logit_softcapping',
    'rope.freq_base_swa': null,
  },
};

/** The largest models scale queries by the width that a head would have without one of its own. */
const gemmaScale = (largest: number) => (facts: GgufFacts) => {
  const heads = number(facts, 'attention.head_count', 1);
  const own = number(facts, 'attention.key_length', 256);
  const largestOne = number(facts, 'block_count') === largest;
  return { query_pre_attn_scalar: largestOne ? number(facts, 'embedding_length') / heads : own };
};

export const architectures: Readonly<Record<string, Architecture>> = {
  llama: {
    modelType: (facts) => (number(facts, 'expert_count') > 0 ? 'mixtral' : 'llama'),
    permuted: true,
    experts: numberedExperts,
  },
  qwen2: { modelType: 'qwen2' },
  qwen3: { modelType: 'qwen3' },
  qwen2moe: { modelType: 'qwen2_moe', more: () => ({ norm_topk_prob: false }) },
  qwen3moe: { modelType: 'qwen3_moe', more: () => ({ norm_topk_prob: true }) },
  mistral3: {
    modelType: 'ministral3',
    permuted: true,
    keys: { 'attention.temperature_scale': 'llama_4_scaling_beta', 'rope.scaling.yarn_log_multiplier': null },
    more: (facts) => ({ original_max_position_embeddings: number(facts, 'rope.scaling.original_context_length') }),
    scaling: (facts) => growth(number(facts, 'rope.scaling.yarn_log_multiplier')),
  },
  smollm3: { modelType: 'smollm3', permuted: true },
  seed_oss: {
    modelType: 'seed_oss',
    names: afterAttention,
    more: (facts) => ({
      attention_bias: has(facts, 'attn_q.bias'),
      attention_out_bias: has(facts, 'attn_output.bias'),
      mlp_bias: has(facts, 'ffn_up.bias'),
    }),
  },
  olmo2: {
    modelType: (facts) => (facts.keys.has('attention.sliding_window') ? 'olmo3' : 'olmo2'),
    names: { ...afterAttention, post_ffw_norm: 'post_feedforward_layernorm' },
    keys: { 'attention.sliding_window': 'sliding_window', 'rope.freq_base_swa': null },
  },
  olmoe: { modelType: 'olmoe', more: () => ({ norm_topk_prob: false }) },
  gemma2: { ...gemma, more: gemmaScale(46) },
  gemma3: { ...gemma, modelType: 'gemma3_text', more: gemmaScale(62) },
  'command-r': {
    modelType: 'cohere',
    keys: { 'attention.layer_norm_epsilon': 'layer_norm_eps', logit_scale: 'logit_scale' },
    more: (facts) => ({ use_qk_norm: has(facts, 'attn_q_norm.weight') }),
  },
  cohere2: {
    modelType: 'cohere2',
    keys: {
      'attention.layer_norm_epsilon': 'layer_norm_eps',
      'attention.sliding_window': 'sliding_window',
      logit_scale: 'logit_scale',
    },
  },
  granitemoe: {
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
    keys: {
      'attention.scale': 'attention_multiplier',
      embedding_scale: 'embedding_multiplier',
      residual_scale: 'residual_multiplier',
      logit_scale: 'logits_scaling',
      expert_shared_feed_forward_length: 'shared_intermediate_size',
    },
  },
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
};

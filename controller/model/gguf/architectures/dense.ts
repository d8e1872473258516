/** Architectures without experts, and Llama's, which may have them. */

import {
  type Architecture,
  afterAttention,
  type GgufFacts,
  growth,
  has,
  type Json,
  layersWith,
  number,
} from './architecture.ts';
import { numberedExperts, plainExperts } from './names.ts';

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

/** Layers with and without a window may differ in their key/value heads; values may be keys in those without. */
function gemma4Heads(facts: GgufFacts): Json {
  const given = facts.keys.get('attention.head_count_kv');
  const slides = facts.keys.get('attention.sliding_window_pattern');
  const ofKind = (sliding: boolean) =>
    Array.isArray(given) && Array.isArray(slides) ? given[slides.indexOf(sliding)] : given;
  const values = layersWith(facts, 'attn_v.weight', true, false);
  return {
    num_key_value_heads: ofKind(true),
    num_global_key_value_heads: ofKind(false) ?? null,
    attention_k_eq_v: values.includes(false),
    attention_bias: has(facts, 'attn_q.bias'),
    enable_moe_block: number(facts, 'expert_count') > 0,
  };
}

export const denseArchitectures: Readonly<Record<string, Architecture>> = {
  llama: {
    modelType: (facts) => (number(facts, 'expert_count') > 0 ? 'mixtral' : 'llama'),
    permuted: true,
    experts: numberedExperts,
  },
  qwen2: { modelType: 'qwen2' },
  qwen3: { modelType: 'qwen3' },
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
  phi3: {
    modelType: 'phi3',
    partialRotary: true,
    names: { attn_qkv: 'self_attn.qkv_proj', ffn_up: 'mlp.gate_up_proj' },
    keys: { 'attention.sliding_window': 'sliding_window' },
  },
  gemma4: {
    modelType: 'gemma4_text',
    experts: { ...plainExperts, gate: 'router.proj', path: '' },
    names: {
      ...gemma.names,
      'layer_output_scale.weight': 'layer_scalar',
      post_ffw_norm_1: 'post_feedforward_layernorm_1',
      pre_ffw_norm_2: 'pre_feedforward_layernorm_2',
      post_ffw_norm_2: 'post_feedforward_layernorm_2',
      'ffn_gate_inp.scale': 'router.scale',
      'ffn_down_exps.scale': 'router.per_expert_scale',
    },
    keys: {
      'attention.key_length': 'global_head_dim',
      'attention.key_length_swa': 'head_dim',
      'attention.value_length_swa': null,
      'attention.head_count_kv': null,
      'attention.sliding_window': 'sliding_window',
      'attention.shared_kv_layers': 'num_kv_shared_layers',
      embedding_length_per_layer_input: 'hidden_size_per_layer_input',
      final_logit_softcapping: 'final_logit_softcapping',
      'rope.freq_base_swa': null,
      'rope.dimension_count_swa': null,
    },
    ownWidths: true,
    more: gemma4Heads,
  },
};

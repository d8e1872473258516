import type { ModelConfig } from '../../config/config.ts';
import { denseFfn } from '../../operators/ffn.ts';
import { latentAttention, latentRopeDefaults } from '../../operators/mla.ts';
import { noauxDefaults, noauxExperts } from '../../operators/noaux.ts';
import { attentionThenFfn, defineFamily, isDense, isPredictionLayer } from '../family.ts';

export const defaults = {
  vocab_size: 129_280,
  hidden_size: 7168,
  intermediate_size: 18_432,
  num_hidden_layers: 61,
  num_attention_heads: 128,
  num_key_value_heads: null,
  head_dim: null,
  hidden_act: 'silu',
  max_position_embeddings: 4096,
  rms_norm_eps: 1e-6,
  tie_word_embeddings: false,
  rope_theta: 10_000,
  bos_token_id: 0,
  eos_token_id: 1,
  attention_bias: false,
  q_lora_rank: 1536,
  kv_lora_rank: 512,
  qk_nope_head_dim: 128,
  qk_rope_head_dim: 64,
  v_head_dim: 128,
  rope_interleave: true,
  ...latentRopeDefaults,
  num_experts: 256,
  num_experts_per_tok: 8,
  moe_intermediate_size: 2048,
  n_shared_experts: 1,
  first_k_dense_replace: 3,
  mlp_layer_types: null,
  moe_layer_freq: 1,
  topk_method: 'noaux_tc',
  scoring_func: 'sigmoid',
  ...noauxDefaults,
  n_group: 8,
  topk_group: 4,
  routed_scaling_factor: 2.5,
  num_nextn_predict_layers: 1,
} as const;

export type Sizes = {
  [Key in keyof typeof defaults]: (typeof defaults)[Key] extends number ? Key : never;
}[keyof typeof defaults];

/** How experts are picked is the same in all of them. */
export function choiceProblem({
  topk_method: method,
  scoring_func: scoring,
}: Pick<ModelConfig, 'topk_method' | 'scoring_func'>) {
  if (method !== 'noaux_tc') return `topk_method is "${method}"; supported: "noaux_tc"`;
  return scoring === 'sigmoid' ? null : `scoring_func is "${scoring}"; supported: "sigmoid"`;
}

const deepseekV3Like = (modelType: string, architecture: string, given: Readonly<Partial<Pick<ModelConfig, Sizes>>>) =>
  defineFamily({
    modelType,
    architecture,
    defaults: { ...defaults, ...given },
    style: (config) => ({
      ropeLayout: config.rope_interleave ? 'interleaved' : 'half',
      unused: (name) => isPredictionLayer(name, config),
    }),
    problem: (config) => choiceProblem(config),
    layer: (config, index) => {
      const attention = latentAttention(config);
      const ffn = isDense(config, index) ? [denseFfn(config.intermediate_size)] : noauxExperts(config);
      return attentionThenFfn(attention, ...ffn);
    },
  });

/** Latents, and experts that are balanced by a correction of their scores. */
export const deepseekV3 = deepseekV3Like('deepseek_v3', 'DeepseekV3ForCausalLM', {});

/** The same with other sizes. */
export const kimiK2 = deepseekV3Like('kimi_k2', 'KimiK2ForCausalLM', {});

export const glm4MoeLite = deepseekV3Like('glm4_moe_lite', 'Glm4MoeLiteForCausalLM', {
  vocab_size: 154_880,
  hidden_size: 2048,
  intermediate_size: 10_240,
  num_hidden_layers: 47,
  num_attention_heads: 20,
  max_position_embeddings: 202_752,
  rms_norm_eps: 1e-5,
  q_lora_rank: 768,
  qk_nope_head_dim: 192,
  v_head_dim: 256,
  num_experts: 64,
  num_experts_per_tok: 4,
  moe_intermediate_size: 1536,
  first_k_dense_replace: 1,
  n_group: 1,
  topk_group: 1,
  routed_scaling_factor: 1.8,
});

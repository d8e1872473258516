import type { ModelConfig } from '../../config/config.ts';
import { switchedWindow, switchedWindowDefaults } from '../../config/window.ts';
import { denseFfn } from '../../operators/ffn.ts';
import { plainAttention } from '../../operators/gqa.ts';
import { plainMoe, softmaxGate } from '../../operators/moe.ts';
import { attentionThenFfn, defineFamily, isSparse } from '../family.ts';

const defaults = {
  vocab_size: 151_936,
  hidden_size: 2048,
  intermediate_size: 6144,
  num_hidden_layers: 24,
  num_attention_heads: 32,
  num_key_value_heads: 4,
  head_dim: null,
  hidden_act: 'silu',
  max_position_embeddings: 32_768,
  rms_norm_eps: 1e-6,
  tie_word_embeddings: false,
  rope_theta: 10_000,
  bos_token_id: null,
  eos_token_id: null,
  attention_bias: false,
  ...switchedWindowDefaults,
  num_experts: 128,
  num_experts_per_tok: 8,
  moe_intermediate_size: 768,
  norm_topk_prob: false,
  mlp_only_layers: null,
  decoder_sparse_step: 1,
} as const;

function layerOf(config: Pick<ModelConfig, keyof typeof defaults>, index: number, renormalise: boolean) {
  const experts = {
    ...plainMoe,
    experts: config.num_experts,
    topK: config.num_experts_per_tok,
    intermediate: config.moe_intermediate_size,
    gate: softmaxGate(renormalise),
  };
  return attentionThenFfn(
    {
      ...plainAttention,
      qkvBias: config.attention_bias,
      outputBias: config.attention_bias,
      qkNorm: 'per-head',
      window: switchedWindow(config),
    },
    isSparse(config, index) ? experts : denseFfn(config.intermediate_size),
  );
}

export const qwen3Moe = defineFamily({
  modelType: 'qwen3_moe',
  architecture: 'Qwen3MoeForCausalLM',
  defaults,
  layer: (config, index) => layerOf(config, index, config.norm_topk_prob),
});

/** Of a model that takes images, whose three positions of a token are equal in text; its gate always renormalises. */
export const qwen3VlMoeText = defineFamily({
  modelType: 'qwen3_vl_moe_text',
  architecture: 'Qwen3VLMoeTextModel',
  defaults: {
    ...defaults,
    intermediate_size: 5632,
    num_attention_heads: 16,
    num_key_value_heads: null,
    max_position_embeddings: 128_000,
    rope_theta: 500_000,
    num_experts: 60,
    num_experts_per_tok: 4,
    moe_intermediate_size: 1408,
  },
  layer: (config, index) => layerOf({ ...config, use_sliding_window: false }, index, true),
});

/** Families whose layers have the gated delta rule or, every few layers, attention with a gate. */
import { denseFfn, sharedExpert } from '../../operators/ffn.ts';
import { plainAttention } from '../../operators/gqa.ts';
import { type MoeShape, plainMoe, softmaxGate } from '../../operators/moe.ts';
import { attentionThenFfn, defineFamily, isSparse, type OperatorShape } from '../family.ts';

const defaults = {
  num_attention_heads: 16,
  num_key_value_heads: 2,
  head_dim: 256,
  hidden_act: 'silu',
  max_position_embeddings: 32_768,
  rms_norm_eps: 1e-6,
  tie_word_embeddings: false,
  rope_theta: 10_000,
  bos_token_id: null,
  eos_token_id: null,
  attention_bias: false,
  layer_types: null,
  full_attention_interval: 4,
  linear_conv_kernel_dim: 4,
  linear_key_head_dim: 128,
  linear_value_head_dim: 128,
  linear_num_key_heads: 16,
  linear_num_value_heads: 32,
} as const;

const expertDefaults = {
  moe_intermediate_size: 512,
  shared_expert_intermediate_size: 512,
} as const;

interface Mixers {
  readonly attention_bias: boolean;
  readonly layer_types: readonly string[] | null;
  readonly full_attention_interval: number;
  readonly linear_conv_kernel_dim: number;
  readonly linear_key_head_dim: number;
  readonly linear_value_head_dim: number;
  readonly linear_num_key_heads: number;
  readonly linear_num_value_heads: number;
}

const style = () =>
  ({
    norm: { kind: 'rms', weightOffset: 1, bias: false },
    partialRotary: 0.25,
  }) as const;

function mixerOf(config: Mixers, index: number, byKeyHead: boolean): OperatorShape {
  const { layer_types: types, full_attention_interval: interval, attention_bias: bias } = config;
  const attends = types ? types[index] === 'full_attention' : (index + 1) % interval === 0;
  if (attends) {
    return { ...plainAttention, qkvBias: bias, outputBias: bias, qkNorm: 'per-head', gateBesideQueries: true };
  }
  return {
    kind: 'delta-net',
    path: 'linear_attn',
    byKeyHead,
    keyHeads: config.linear_num_key_heads,
    valueHeads: config.linear_num_value_heads,
    keyDim: config.linear_key_head_dim,
    valueDim: config.linear_value_head_dim,
    taps: config.linear_conv_kernel_dim,
  };
}

interface Experts {
  readonly num_experts: number;
  readonly num_experts_per_tok: number;
  readonly moe_intermediate_size: number;
  readonly shared_expert_intermediate_size: number;
}

function expertsOf(config: Experts, renormalise: boolean): readonly OperatorShape[] {
  const routed: MoeShape = {
    ...plainMoe,
    experts: config.num_experts,
    topK: config.num_experts_per_tok,
    intermediate: config.moe_intermediate_size,
    gate: softmaxGate(renormalise),
  };
  const width = config.shared_expert_intermediate_size;
  return [routed, { ...sharedExpert('mlp.shared_expert', width), outputGate: 'mlp.shared_expert_gate' }];
}

export const qwen3Next = defineFamily({
  modelType: 'qwen3_next',
  architecture: 'Qwen3NextForCausalLM',
  defaults: {
    ...defaults,
    ...expertDefaults,
    vocab_size: 151_936,
    hidden_size: 2048,
    intermediate_size: 5632,
    num_hidden_layers: 48,
    num_experts: 512,
    num_experts_per_tok: 10,
    norm_topk_prob: true,
    mlp_only_layers: null,
    decoder_sparse_step: 1,
  },
  style,
  layer: (config, index) => {
    const ffn = isSparse(config, index)
      ? expertsOf(config, config.norm_topk_prob)
      : [denseFfn(config.intermediate_size)];
    return attentionThenFfn(mixerOf(config, index, true), ...ffn);
  },
});

/** Dense; the text part of Qwen 3.5. */
export const qwen35 = defineFamily({
  modelType: 'qwen3_5_text',
  architecture: 'Qwen3_5ForCausalLM',
  defaults: {
    ...defaults,
    vocab_size: 248_320,
    hidden_size: 4096,
    intermediate_size: 12_288,
    num_hidden_layers: 32,
    num_key_value_heads: 4,
  },
  style,
  layer: (config, index) => attentionThenFfn(mixerOf(config, index, false), denseFfn(config.intermediate_size)),
});

export const qwen35Moe = defineFamily({
  modelType: 'qwen3_5_moe_text',
  architecture: 'Qwen3_5MoeForCausalLM',
  defaults: {
    ...defaults,
    ...expertDefaults,
    vocab_size: 248_320,
    hidden_size: 2048,
    intermediate_size: 512,
    num_hidden_layers: 40,
    num_experts: 256,
    num_experts_per_tok: 8,
  },
  style,
  layer: (config, index) => attentionThenFfn(mixerOf(config, index, false), ...expertsOf(config, true)),
});

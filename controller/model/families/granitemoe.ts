import { sharedExpert } from '../operators/ffn.ts';
import { plainAttention } from '../operators/gqa.ts';
import { plainMoe, softmaxGate } from '../operators/moe.ts';
import { type BlockShape, defineFamily, type OperatorShape } from './family.ts';

const defaults = {
    vocab_size: 32_000,
    hidden_size: 4096,
    intermediate_size: 11_008,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    num_key_value_heads: null,
    head_dim: null,
    hidden_act: 'silu',
    max_position_embeddings: 2048,
    rms_norm_eps: 1e-6,
    tie_word_embeddings: false,
    rope_theta: 10_000,
    bos_token_id: 1,
    eos_token_id: 2,
    attention_bias: false,
    attention_multiplier: 1,
    embedding_multiplier: 1,
    residual_multiplier: 1,
    logits_scaling: 1,
    num_experts: 8,
    num_experts_per_tok: 2,
} as const;

interface Multipliers {
  readonly embedding_multiplier: number;
  readonly logits_scaling: number;
}

interface Granite {
  readonly attention_bias: boolean;
  readonly attention_multiplier: number;
  readonly residual_multiplier: number;
  readonly num_experts: number;
  readonly num_experts_per_tok: number;
  readonly intermediate_size: number;
}

function style(config: Multipliers) {
  return { embeddingMultiplier: config.embedding_multiplier, logitMultiplier: 1 / config.logits_scaling };
}

function layer(config: Granite, ...shared: readonly OperatorShape[]): readonly BlockShape[] {
  const residualMultiplier = config.residual_multiplier;
  const attention = {
    ...plainAttention,
    qkvBias: config.attention_bias,
    outputBias: config.attention_bias,
    scale: config.attention_multiplier,
  };
  const experts: OperatorShape = {
    ...plainMoe,
    path: 'block_sparse_moe',
    storage: 'stacked',
    names: { gateUp: 'input_linear.weight', down: 'output_linear.weight' },
    experts: config.num_experts,
    topK: config.num_experts_per_tok,
    intermediate: config.intermediate_size,
    gate: { ...softmaxGate(true), name: 'router.layer' },
  };
  return [
    { preNorm: 'input_layernorm', operators: [attention], residualMultiplier },
    { preNorm: 'post_attention_layernorm', operators: [experts, ...shared], residualMultiplier },
  ];
}

export const granitemoe = defineFamily({
  modelType: 'granitemoe',
  architecture: 'GraniteMoeForCausalLM',
  defaults,
  style,
  layer: (config) => layer(config),
});

/** The same with a network for every row beside the experts. */
export const granitemoeshared = defineFamily({
  modelType: 'granitemoeshared',
  architecture: 'GraniteMoeSharedForCausalLM',
  defaults: { ...defaults, shared_intermediate_size: 1024 },
  style,
  layer: (config) => {
    const width = config.shared_intermediate_size;
    const names = { gateUp: 'input_linear', down: 'output_linear' };
    return layer(config, ...(width > 0 ? [sharedExpert('shared_mlp', width, names)] : []));
  },
});

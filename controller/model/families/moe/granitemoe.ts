import { windowIf } from '../../config/window.ts';
import { sharedExpert } from '../../operators/ffn.ts';
import { type GqaShape, plainAttention } from '../../operators/gqa.ts';
import { type MoeShape, plainMoe, softmaxGate } from '../../operators/moe.ts';
import { type BlockShape, defineFamily, type OperatorShape } from '../family.ts';

export const defaults = {
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

export function style(config: Multipliers) {
  return { embeddingMultiplier: config.embedding_multiplier, logitMultiplier: 1 / config.logits_scaling };
}

export function attentionOf(config: Granite): GqaShape {
  return {
    ...plainAttention,
    qkvBias: config.attention_bias,
    outputBias: config.attention_bias,
    scale: config.attention_multiplier,
  };
}

/** Where tensors of experts lie below their path. */
interface ExpertNames {
  readonly gateUp: string;
  readonly down: string;
  readonly router: string;
}

export const linears: ExpertNames = {
  gateUp: 'input_linear.weight',
  down: 'output_linear.weight',
  router: 'router.layer',
};

export function expertsOf(config: Granite, { router, ...names }: ExpertNames): MoeShape {
  return {
    ...plainMoe,
    path: 'block_sparse_moe',
    storage: 'stacked',
    names,
    experts: config.num_experts,
    topK: config.num_experts_per_tok,
    intermediate: config.intermediate_size,
    gate: { ...softmaxGate(true), name: router },
  };
}

/** The network for every row beside the experts; none where it has no width. */
export function sharedOf({ shared_intermediate_size: width }: { readonly shared_intermediate_size: number }) {
  const names = { gateUp: 'input_linear', down: 'output_linear' };
  return width > 0 ? [sharedExpert('shared_mlp', width, names)] : [];
}

export function blocks(
  config: Granite,
  attention: OperatorShape,
  ...ffn: readonly OperatorShape[]
): readonly BlockShape[] {
  const residualMultiplier = config.residual_multiplier;
  return [
    { preNorm: 'input_layernorm', operators: [attention], residualMultiplier },
    { preNorm: 'post_attention_layernorm', operators: ffn, residualMultiplier },
  ];
}

export const granitemoe = defineFamily({
  modelType: 'granitemoe',
  architecture: 'GraniteMoeForCausalLM',
  defaults,
  style,
  layer: (config) => blocks(config, attentionOf(config), expertsOf(config, linears)),
});

export const granitemoeshared = defineFamily({
  modelType: 'granitemoeshared',
  architecture: 'GraniteMoeSharedForCausalLM',
  defaults: { ...defaults, shared_intermediate_size: 1024 },
  style,
  layer: (config) => blocks(config, attentionOf(config), expertsOf(config, linears), ...sharedOf(config)),
});

/** Sinks, windows, and a rope of its own in each layer. */
export const granitemoeSwa = defineFamily({
  modelType: 'granitemoe_swa',
  architecture: 'GraniteMoeSWAForCausalLM',
  defaults: {
    ...defaults,
    shared_intermediate_size: 1024,
    sliding_window: null,
    layer_types: null,
    layer_rope_theta: null,
  },
  style: (config) => ({
    ...style(config),
    ropes: [
      ...thetasOf(config).map((theta) => ({ name: `of theta ${theta}`, theta })),
      { name: 'full_attention', theta: null },
    ],
  }),
  layer: (config, index) => {
    const { layer_types: types, layer_rope_theta: list, sliding_window: window } = config;
    const slides = types ? types[index] === 'sliding_attention' : index % 4 !== 0;
    const theta = list?.[index];
    const thetas = thetasOf(config);
    const attention: GqaShape = {
      ...attentionOf(config),
      sinks: 'sinks',
      window: windowIf(slides, window),
      rope: theta === 0 ? null : theta === undefined ? thetas.length : thetas.indexOf(theta),
    };
    const names = { gateUp: 'experts.gate_up_proj', down: 'experts.down_proj', router: 'router' };
    return blocks(config, attention, expertsOf(config, names), ...sharedOf(config));
  },
});

/** The bases of a model's ropes, each once. */
function thetasOf({ layer_rope_theta: list }: { readonly layer_rope_theta: readonly number[] | null }): number[] {
  return [...new Set(list ?? [])].filter((theta) => theta > 0);
}

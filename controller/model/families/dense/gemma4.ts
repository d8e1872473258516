import type { ModelConfig } from '../../config/config.ts';
import { isObject } from '../../config/json.ts';
import { windowIf } from '../../config/window.ts';
import { denseFfn } from '../../operators/ffn.ts';
import { type GqaShape, plainAttention } from '../../operators/gqa.ts';
import { type MoeShape, plainMoe, softmaxGate } from '../../operators/moe.ts';
import type { TokenInputShape } from '../../operators/token-input.ts';
import { type BlockShape, type ConfigFile, defineFamily } from '../family.ts';

/** Layers with and without a window differ in their heads and ropes; experts, where there are any, beside the network. */
export const gemma4 = defineFamily({
  modelType: 'gemma4_text',
  architecture: 'Gemma4ForCausalLM',
  translate,
  defaults: {
    vocab_size: 262_144,
    hidden_size: 2304,
    intermediate_size: 9216,
    num_hidden_layers: 30,
    num_attention_heads: 8,
    num_key_value_heads: 4,
    head_dim: 256,
    global_head_dim: 512,
    num_global_key_value_heads: null,
    hidden_act: 'gelu_pytorch_tanh',
    max_position_embeddings: 131_072,
    rms_norm_eps: 1e-6,
    tie_word_embeddings: true,
    rope_theta: 1_000_000,
    rope_local_base_freq: 10_000,
    bos_token_id: 2,
    eos_token_id: 1,
    attention_bias: false,
    attention_k_eq_v: false,
    use_bidirectional_attention: null,
    sliding_window: 512,
    layer_types: null,
    hidden_size_per_layer_input: 0,
    vocab_size_per_layer_input: null,
    num_kv_shared_layers: 0,
    use_double_wide_mlp: false,
    enable_moe_block: false,
    num_experts: 0,
    num_experts_per_tok: 0,
    moe_intermediate_size: 1,
    final_logit_softcapping: null,
  },
  style: (config) => ({
    embeddingMultiplier: Math.sqrt(config.hidden_size),
    logitSoftcap: config.final_logit_softcapping ?? 0,
    layerScale: 'layer_scalar',
    withPrevious: (index) => isTied(config, index),
    // Checkpoints may have them where they are not read.
    unused: (name) => {
      const [, layer] = /\.(\d+)\.self_attn\.(?:[kv]_proj|k_norm)\.weight$/.exec(name) ?? [];
      return layer !== undefined && cacheLayer(config, Number(layer)) !== null;
    },
    partialRotary: 1,
    ropes: [
      { name: 'full_attention', theta: null, headDim: config.global_head_dim },
      { name: 'sliding_attention', theta: config.rope_local_base_freq },
    ],
  }),
  problem,
  layer: (config, index) => {
    const slides = isSliding(config, index);
    const shared = config.attention_k_eq_v && !slides;
    const attention: GqaShape = {
      ...plainAttention,
      qkvBias: config.attention_bias,
      outputBias: config.attention_bias,
      qkNorm: 'per-head',
      valueNorm: true,
      keysAreValues: shared,
      scale: 1,
      rope: slides ? 1 : 0,
      window: windowIf(slides, config.sliding_window),
      headDim: slides ? null : config.global_head_dim,
      kvHeads: shared ? config.num_global_key_value_heads : null,
      cacheLayer: cacheLayer(config, index),
    };
    const wide = config.use_double_wide_mlp && attention.cacheLayer !== null;
    return [
      { preNorm: 'input_layernorm', operators: [attention], postNorm: 'post_attention_layernorm' },
      ...networks(wide ? { ...config, intermediate_size: 2 * config.intermediate_size } : config),
      ...tokenInputs(config, index),
    ];
  },
});

type Layers = Pick<
  ModelConfig,
  'layer_types' | 'num_hidden_layers' | 'num_kv_shared_layers' | 'hidden_size_per_layer_input'
>;

/** The last layer never slides, whatever the list says. */
function isSliding({ layer_types: types, num_hidden_layers: layers }: Layers, index: number): boolean {
  const inPattern = types ? types[index] === 'sliding_attention' : (index + 1) % 6 !== 0;
  return inPattern && index + 1 !== layers;
}

/** The layer whose keys and values layer `index` reads: the last one of its kind that has its own; null: it has its own. */
function cacheLayer(config: Layers, index: number): number | null {
  const first = config.num_hidden_layers - config.num_kv_shared_layers;
  if (index < first) return null;
  const kind = isSliding(config, index);
  for (let layer = first - 1; layer >= 0; layer--) if (isSliding(config, layer) === kind) return layer;
  return null;
}

/** Whether a layer is in the stage of the one before: all that read tokens, and those up to the last that read a cache. */
function isTied(config: Layers, index: number): boolean {
  if (config.hidden_size_per_layer_input > 0) return index > 0;
  const readers = Array.from({ length: config.num_kv_shared_layers }, (_, i) => config.num_hidden_layers - 1 - i);
  const kept = readers.map((reader) => cacheLayer(config, reader) ?? reader);
  return index > Math.min(...kept);
}

function problem(
  config: Layers & Pick<ModelConfig, 'enable_moe_block' | 'num_experts' | 'vocab_size' | 'vocab_size_per_layer_input'>,
): string | null {
  const { enable_moe_block: sparse, num_experts: experts, num_kv_shared_layers: shared } = config;
  const { vocab_size: vocabulary, vocab_size_per_layer_input: own } = config;
  if (sparse !== experts > 0) return `enable_moe_block is ${sparse}, but num_experts is ${experts || 'missing'}`;
  if (own !== null && own !== vocabulary && config.hidden_size_per_layer_input > 0) {
    return `vocab_size_per_layer_input is ${own}; supported: vocab_size, which is ${vocabulary}`;
  }
  const readers = Array.from({ length: shared }, (_, i) => config.num_hidden_layers - 1 - i);
  const without = readers.find((reader) => cacheLayer(config, reader) === null);
  return without === undefined
    ? null
    : `num_kv_shared_layers is ${shared}, but no layer like layer ${without} has keys and values of its own`;
}

/** What the layer takes of the tokens, where layers do. */
function tokenInputs(
  config: Layers & Pick<ModelConfig, 'hidden_size' | 'vocab_size'>,
  index: number,
): readonly BlockShape[] {
  const { hidden_size_per_layer_input: width, num_hidden_layers: layers, vocab_size: vocabulary } = config;
  if (width === 0) return [];
  const input: TokenInputShape = {
    kind: 'token-input',
    names: {
      embedding: 'model.embed_tokens_per_layer',
      projection: 'model.per_layer_model_projection',
      norm: 'model.per_layer_projection_norm',
    },
    gate: 'per_layer_input_gate',
    output: 'per_layer_projection',
    vocabulary,
    width,
    index,
    layers,
    projectionMultiplier: config.hidden_size ** -0.5,
    embeddingMultiplier: Math.sqrt(width),
    multiplier: Math.SQRT1_2,
  };
  return [{ preNorm: null, operators: [input], postNorm: 'post_per_layer_input_norm' }];
}

interface Networks {
  readonly hidden_size: number;
  readonly intermediate_size: number;
  readonly num_experts: number;
  readonly num_experts_per_tok: number;
  readonly moe_intermediate_size: number;
}

/** The network, and what experts make of the same rows, which their gate reads through a norm of its own. */
function networks(config: Networks): readonly BlockShape[] {
  const preNorm = 'pre_feedforward_layernorm';
  const postNorm = 'post_feedforward_layernorm';
  const operators = [denseFfn(config.intermediate_size)];
  if (config.num_experts === 0) return [{ preNorm, operators, postNorm }];
  const experts: MoeShape = {
    ...plainMoe,
    path: '',
    storage: 'stacked',
    names: { gateUp: 'experts.gate_up_proj', down: 'experts.down_proj' },
    experts: config.num_experts,
    topK: config.num_experts_per_tok,
    intermediate: config.moe_intermediate_size,
    gate: {
      ...softmaxGate(true),
      name: 'router.proj',
      scales: 'router.per_expert_scale',
      norm: { name: 'router.scale', multiplier: config.hidden_size ** -0.5 },
    },
  };
  return [
    { preNorm, operators, postNorm: `${postNorm}_1`, aside: true },
    { preNorm: `${preNorm}_2`, operators: [experts], postNorm: `${postNorm}_2`, join: true, joinNorm: postNorm },
  ];
}

/** Where a file does not say. */
const ropes = {
  full_attention: { rope_type: 'proportional', partial_rotary_factor: 0.25, rope_theta: 1_000_000 },
  sliding_attention: { rope_type: 'default', rope_theta: 10_000 },
};

/** Files may say null for what a dense model has not, and give the heads of layers without a window by layer. */
function translate({ per_layer_config: layers, ...file }: ConfigFile): ConfigFile {
  const known = Object.fromEntries(Object.entries(file).filter(([, value]) => value !== null));
  const usual = { rope_parameters: ropes };
  const own = isObject(layers) ? Object.values(layers).filter(isObject) : [];
  if (own.length === 0) return { ...usual, ...known };
  const same = (key: string) => (own.every((layer) => layer[key] === own[0]?.[key]) ? own[0]?.[key] : own);
  return {
    ...usual,
    global_head_dim: same('head_dim'),
    num_global_key_value_heads: same('num_key_value_heads'),
    ...known,
  };
}

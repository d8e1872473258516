import type { ModelConfig } from '../../config/config.ts';
import { isObject } from '../../config/json.ts';
import type { SpansShape } from '../../operators/compressed-attention.ts';
import { numbered, sharedExpert } from '../../operators/ffn.ts';
import { type GateShape, plainMoe, softmaxGate } from '../../operators/moe.ts';
import { type ConfigFile, defineFamily } from '../family.ts';

const sparse = 'compressed_sparse_attention';
const heavy = 'heavily_compressed_attention';
const rates = { [sparse]: 4, [heavy]: 128 } as const;

/** What published files call the types of layers. */
const typesByRatio: Readonly<Record<number, string>> = { 0: 'sliding_attention', 4: sparse, 128: heavy };

/** config.json with the keys below, from those that published files have. */
function translate(file: ConfigFile): ConfigFile {
  const { compress_ratios: ratios, compress_rate_csa: csa, compress_rate_hca: hca, rope_scaling, ...others } = file;
  const { num_hidden_layers: layers = 43, num_hash_layers: hashed = 3, head_dim: headDim = 512 } = file;
  const { qk_rope_head_dim: rotary = 64, rope_theta = 10_000, compress_rope_theta = 160_000 } = file;
  const count = typeof layers === 'number' && layers > 0 && layers <= 4096 ? layers : 0;
  const byLayer = <Of>(of: (index: number) => Of) => Array.from({ length: count }, (_, index) => of(index));
  const first = (given: unknown) => (Array.isArray(given) ? given.slice(0, count) : given);
  const part = Number(file['partial_rotary_factor'] ?? Number(rotary) / Number(headDim));
  const given = isObject(file['rope_parameters']) ? file['rope_parameters'] : {};
  const nested = isObject(given['main']) && isObject(given['compress']);
  // Where yarn stretches positions, cosine and sine stay as they are.
  const scaling: Readonly<Record<string, unknown>> = {
    ...(isObject(rope_scaling) && rope_scaling),
    ...(nested ? {} : given),
  };
  const stretched =
    (scaling['rope_type'] ?? scaling['type']) === 'yarn' ? { attention_factor: 1, ...scaling } : scaling;
  const ropes = {
    main: { rope_theta, partial_rotary_factor: part },
    compress: { ...stretched, rope_theta: compress_rope_theta, partial_rotary_factor: part },
  };
  return {
    ...others,
    rope_parameters: nested ? { main: given['main'], compress: given['compress'] } : ropes,
    compress_rates: {
      ...rates,
      ...(isObject(file['compress_rates']) && file['compress_rates']),
      ...(csa !== undefined && { [sparse]: csa }),
      ...(hca !== undefined && { [heavy]: hca }),
    },
    layer_types:
      first(file['layer_types']) ??
      first(Array.isArray(ratios) ? ratios.map((ratio) => typesByRatio[Number(ratio)] ?? String(ratio)) : ratios) ??
      byLayer((index) => (index < 2 || index % 2 === 0 ? heavy : sparse)),
    mlp_layer_types:
      first(file['mlp_layer_types']) ?? byLayer((index) => (index < Number(hashed) ? 'hash_moe' : 'moe')),
  };
}

/** How layers of a type make entries. */
function spansOf(type: string | undefined, rates: ModelConfig['compress_rates']): SpansShape | null {
  if (type === sparse) return { span: rates[sparse], overlapping: true };
  return type === heavy ? { span: rates[heavy], overlapping: false } : null;
}

type GateKeys = 'expert_layer_types' | 'num_experts' | 'routed_scaling_factor';

/** Roots of softplus scores, which weigh experts even where tokens pick them. */
function gateOf(config: Pick<ModelConfig, GateKeys>, index: number): GateShape {
  const hashed = config.expert_layer_types[index] === 'hash_moe';
  return {
    ...softmaxGate(false),
    scoring: 'GATE_SCORING_SQRT_SOFTPLUS',
    renormalise: true,
    smallestSum: 1e-20,
    multiplier: config.routed_scaling_factor ?? 1,
    correction: hashed ? null : { name: 'gate.bias', shape: [config.num_experts] },
    table: hashed ? 'gate.tid2eid' : null,
  };
}

/** DeepSeek-V4: entries of spans beside a window, several streams of the residual, and layers whose tokens pick experts. */
export const deepseekV4 = defineFamily({
  modelType: 'deepseek_v4',
  architecture: 'DeepseekV4ForCausalLM',
  translate,
  defaults: {
    vocab_size: 129_280,
    hidden_size: 4096,
    intermediate_size: 2048,
    moe_intermediate_size: 2048,
    num_hidden_layers: 43,
    num_attention_heads: 64,
    num_key_value_heads: 1,
    head_dim: 512,
    q_lora_rank: 1024,
    num_experts_per_tok: 6,
    num_experts: 256,
    n_shared_experts: 1,
    scoring_func: 'sqrtsoftplus',
    norm_topk_prob: true,
    routed_scaling_factor: 1.5,
    max_position_embeddings: 1_048_576,
    rope_theta: 10_000,
    layer_types: null,
    compress_rates: rates,
    hc_mult: 4,
    hc_sinkhorn_iters: 20,
    hc_eps: 1e-6,
    expert_layer_types: [],
    swiglu_limit: 10,
    sliding_window: 128,
    o_groups: 8,
    o_lora_rank: 1024,
    index_n_heads: 64,
    index_head_dim: 128,
    index_topk: 512,
    hidden_act: 'silu',
    rms_norm_eps: 1e-6,
    bos_token_id: 0,
    eos_token_id: 1,
    tie_word_embeddings: false,
    attention_bias: false,
    mlp_bias: false,
  },
  style: (config) => ({
    ropeLayout: 'interleaved',
    partialRotary: 64 / 512,
    ropes: [
      { name: 'main', theta: null },
      { name: 'compress', theta: null },
    ],
    streams: { count: config.hc_mult, iterations: config.hc_sinkhorn_iters, epsilon: config.hc_eps, head: 'hc_head' },
    names: { embedding: 'embed', layers: 'layers', finalNorm: 'norm', head: 'head' },
    rename: (name) =>
      name
        .replace(/^model\./, '')
        .replace(/^embed_tokens\./, 'embed.')
        .replace(/^lm_head\./, 'head.')
        .replace(/^hc_head\.hc_/, 'hc_head_'),
  }),
  problem: (config) => {
    const { scoring_func: scoring, expert_layer_types: types, num_hidden_layers: layers, o_groups: groups } = config;
    if (scoring !== 'sqrtsoftplus') return `scoring_func is "${scoring}"; supported: "sqrtsoftplus"`;
    if (types.length !== layers)
      return `mlp_layer_types has ${types.length} entries; expected num_hidden_layers, which is ${layers}`;
    if (config.num_attention_heads % groups !== 0)
      return `o_groups is ${groups}; expected a divisor of num_attention_heads, which is ${config.num_attention_heads}`;
    if (config.num_key_value_heads !== 1) return `num_key_value_heads is ${config.num_key_value_heads}; supported: 1`;
    if (config.n_shared_experts !== 1) return `n_shared_experts is ${config.n_shared_experts}; supported: 1`;
    if (!config.norm_topk_prob) return 'norm_topk_prob is false; supported: true';
    if (config.attention_bias) return 'attention_bias is true; supported: false';
    if (config.mlp_bias) return 'mlp_bias is true; supported: false';
    if (config.hidden_act === 'gelu_pytorch_tanh') return 'hidden_act is "gelu_pytorch_tanh"; supported: "silu"';
    if (!config.sliding_window) return `sliding_window is ${config.sliding_window}; expected at least 1`;
    return config.q_lora_rank === null ? 'q_lora_rank is null; expected a number' : null;
  },
  layer: (config, index) => {
    const type = config.layer_types?.[index];
    const { moe_intermediate_size: intermediate } = config;
    const activation = {
      activation: 'ACTIVATION_CLAMPED_SILU',
      activationLimit: Math.fround(config.swiglu_limit),
    } as const;
    const indexer = { heads: config.index_n_heads, headDim: config.index_head_dim, kept: config.index_topk };
    return [
      {
        preNorm: 'attn_norm',
        mix: 'hc_attn',
        operators: [
          {
            kind: 'compressed-attention',
            path: 'attn',
            queryRank: config.q_lora_rank ?? 0,
            window: config.sliding_window ?? 0,
            rope: type === 'sliding_attention' ? 0 : 1,
            groups: config.o_groups,
            reduced: config.o_lora_rank,
            spans: spansOf(type, config.compress_rates),
            indexer: type === sparse ? indexer : null,
          },
        ],
      },
      {
        preNorm: 'ffn_norm',
        mix: 'hc_ffn',
        operators: [
          {
            ...plainMoe,
            path: 'ffn',
            names: numbered,
            activation,
            experts: config.num_experts,
            topK: config.num_experts_per_tok,
            intermediate,
            gate: gateOf(config, index),
          },
          { ...sharedExpert('ffn.shared_experts', intermediate, numbered), activation },
        ],
      },
    ];
  },
});

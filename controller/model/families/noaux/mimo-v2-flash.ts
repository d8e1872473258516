import { windowIf } from '../../config/window.ts';
import { denseFfn } from '../../operators/ffn.ts';
import { plainAttention } from '../../operators/gqa.ts';
import { noauxDefaults, noauxExperts } from '../../operators/noaux.ts';
import { attentionThenFfn, type ConfigFile, defineFamily } from '../family.ts';

/** Layers with a window have twice the key/value heads, sinks, and another rope; values are narrower than keys. */
export const mimoV2Flash = defineFamily({
  modelType: 'mimo_v2_flash',
  architecture: 'MiMoV2FlashForCausalLM',
  translate,
  defaults: {
    vocab_size: 152_576,
    hidden_size: 4096,
    intermediate_size: 16_384,
    num_hidden_layers: 48,
    num_attention_heads: 64,
    num_key_value_heads: 4,
    head_dim: 192,
    hidden_act: 'silu',
    max_position_embeddings: 131_072,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: false,
    rope_theta: 5_000_000,
    swa_rope_theta: 10_000,
    bos_token_id: 1,
    eos_token_id: null,
    attention_bias: false,
    attention_value_scale: 707 / 1000,
    v_head_dim: 128,
    sliding_window: 129,
    layer_types: null,
    mlp_layer_types: null,
    num_experts: 256,
    num_experts_per_tok: 8,
    moe_intermediate_size: 2048,
    scoring_func: 'sigmoid',
    ...noauxDefaults,
    routed_scaling_factor: 1,
  },
  style: (config) => ({
    partialRotary: 0.334,
    ropes: [
      { name: 'full_attention', theta: null },
      { name: 'sliding_attention', theta: config.swa_rope_theta },
    ],
  }),
  problem: ({ scoring_func: scoring }) =>
    scoring === 'sigmoid' ? null : `scoring_func is "${scoring}"; supported: "sigmoid"`,
  layer: (config, index) => {
    const { layer_types: types, mlp_layer_types: ffns, num_key_value_heads: kvHeads } = config;
    const slides = types ? types[index] === 'sliding_attention' : index % 6 !== 0;
    const attention = {
      ...plainAttention,
      qkvBias: config.attention_bias,
      rope: slides ? 1 : 0,
      window: windowIf(slides, config.sliding_window),
      kvHeads: (kvHeads ?? config.num_attention_heads) * (slides ? 2 : 1),
      valueDim: config.v_head_dim,
      valueMultiplier: config.attention_value_scale ?? 1,
      sinks: slides ? 'attention_sink_bias' : null,
    } as const;
    const dense = ffns ? ffns[index] === 'dense' : index === 0;
    const ffn = dense ? [denseFfn(config.intermediate_size)] : noauxExperts({ ...config, n_shared_experts: 0 });
    return attentionThenFfn(attention, ...ffn);
  },
});

/** As the files of the Hub say it: lists of 0 and 1, and a window that does not count the position itself. */
function translate(file: ConfigFile): ConfigFile {
  const { hybrid_layer_pattern: pattern, moe_layer_freq: sparse, sliding_window_size: before } = file;
  const named = (list: unknown, [zero, one]: readonly [string, string]) =>
    Array.isArray(list) ? list.map((kind) => (kind === 1 ? one : zero)) : undefined;
  return {
    layer_types: named(pattern, ['full_attention', 'sliding_attention']),
    mlp_layer_types: named(sparse, ['dense', 'sparse']),
    sliding_window: typeof before === 'number' ? before + 1 : undefined,
    ...file,
  };
}

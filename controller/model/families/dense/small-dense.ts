/** Dense families that differ from llama in one point. */
import { window, windowIf } from '../../config/window.ts';
import { denseFfn, reluSquared, sharedExpert, ungated } from '../../operators/ffn.ts';
import { plainAttention } from '../../operators/gqa.ts';
import { attentionThenFfn, defineFamily } from '../family.ts';

/** Biases on q, k and v, and on the output, each by a key of its own. */
export const seedOss = defineFamily({
  modelType: 'seed_oss',
  architecture: 'SeedOssForCausalLM',
  defaults: {
    vocab_size: 155_136,
    hidden_size: 4096,
    intermediate_size: 27_648,
    num_hidden_layers: 64,
    num_attention_heads: 80,
    num_key_value_heads: 8,
    head_dim: 128,
    hidden_act: 'silu',
    max_position_embeddings: 524_288,
    rms_norm_eps: 1e-6,
    tie_word_embeddings: false,
    rope_theta: 10_000,
    bos_token_id: 0,
    eos_token_id: 2,
    attention_bias: true,
    attention_out_bias: false,
    mlp_bias: false,
  },
  layer: (config) =>
    attentionThenFfn(
      { ...plainAttention, qkvBias: config.attention_bias, outputBias: config.attention_out_bias },
      denseFfn(config.intermediate_size, config.mlp_bias),
    ),
});

/** Rope turns neighbours; biases everywhere or nowhere. */
export const ernie45 = defineFamily({
  modelType: 'ernie4_5',
  architecture: 'Ernie4_5ForCausalLM',
  defaults: {
    vocab_size: 103_424,
    hidden_size: 1024,
    intermediate_size: 3072,
    num_hidden_layers: 18,
    num_attention_heads: 16,
    num_key_value_heads: 2,
    head_dim: 128,
    hidden_act: 'silu',
    max_position_embeddings: 131_072,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: true,
    rope_theta: 500_000,
    bos_token_id: 1,
    eos_token_id: 2,
    use_bias: false,
  },
  style: () => ({ ropeLayout: 'interleaved' }),
  layer: ({ use_bias: bias, intermediate_size: width }) =>
    attentionThenFfn({ ...plainAttention, qkvBias: bias, outputBias: bias }, denseFfn(width, bias)),
});

/** Networks without a gate, which square what is positive. */
export const arcee = defineFamily({
  modelType: 'arcee',
  architecture: 'ArceeForCausalLM',
  translate: ({ hidden_act: act, ...file }) => (act === undefined ? file : { ...file, mlp_hidden_act: act }),
  defaults: {
    vocab_size: 32_000,
    hidden_size: 2560,
    intermediate_size: 18_432,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    num_key_value_heads: null,
    head_dim: null,
    hidden_act: 'silu',
    mlp_hidden_act: 'relu2',
    max_position_embeddings: 4096,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: false,
    rope_theta: 10_000,
    bos_token_id: 128_000,
    eos_token_id: 128_001,
    attention_bias: false,
    mlp_bias: false,
  },
  layer: ({ attention_bias: bias, mlp_bias: biases, intermediate_size: width }) =>
    attentionThenFfn(
      { ...plainAttention, qkvBias: bias, outputBias: bias },
      { ...sharedExpert('mlp', width, ungated), activation: reluSquared, biases },
    ),
});

/** Some layers have no rope. */
export const smollm3 = defineFamily({
  modelType: 'smollm3',
  architecture: 'SmolLM3ForCausalLM',
  defaults: {
    vocab_size: 128_256,
    hidden_size: 2048,
    intermediate_size: 11_008,
    num_hidden_layers: 36,
    num_attention_heads: 16,
    num_key_value_heads: 4,
    head_dim: null,
    hidden_act: 'silu',
    max_position_embeddings: 32_768,
    rms_norm_eps: 1e-6,
    tie_word_embeddings: true,
    rope_theta: 2_000_000,
    bos_token_id: 128_000,
    eos_token_id: 128_001,
    attention_bias: false,
    mlp_bias: false,
    sliding_window: null,
    use_sliding_window: false,
    layer_types: null,
    no_rope_layers: null,
    no_rope_layer_interval: 4,
  },
  layer: (config, index) => {
    const { layer_types: types, sliding_window: window, no_rope_layers: list } = config;
    const rotates = list ? list[index] === 1 : (index + 1) % config.no_rope_layer_interval !== 0;
    const slides = types ? types[index] === 'sliding_attention' : config.use_sliding_window && !rotates;
    return attentionThenFfn(
      {
        ...plainAttention,
        qkvBias: config.attention_bias,
        outputBias: config.attention_bias,
        rope: rotates ? 0 : null,
        window: windowIf(slides, window),
      },
      denseFfn(config.intermediate_size, config.mlp_bias),
    );
  },
});

/** Queries grow with their position. */
export const ministral3 = defineFamily({
  modelType: 'ministral3',
  architecture: 'Ministral3ForCausalLM',
  defaults: {
    vocab_size: 131_072,
    hidden_size: 4096,
    intermediate_size: 14_336,
    num_hidden_layers: 34,
    num_attention_heads: 32,
    num_key_value_heads: 8,
    head_dim: 128,
    hidden_act: 'silu',
    max_position_embeddings: 262_144,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: false,
    rope_theta: 1_000_000,
    bos_token_id: 1,
    eos_token_id: 2,
    sliding_window: null,
    llama_4_scaling_beta: null,
    original_max_position_embeddings: null,
  },
  layer: (config) => {
    const { llama_4_scaling_beta: beta, original_max_position_embeddings: original } = config;
    const interval = original ?? config.max_position_embeddings;
    return attentionThenFfn(
      {
        ...plainAttention,
        window: window(config),
        queryScaling: beta ? { factor: Math.fround(beta), interval, offset: 0 } : null,
      },
      denseFfn(config.intermediate_size),
    );
  },
});

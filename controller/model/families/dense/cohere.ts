import { windowIf } from '../../config/window.ts';
import { denseFfn } from '../../operators/ffn.ts';
import { type GqaShape, plainAttention } from '../../operators/gqa.ts';
import { type BlockShape, defineFamily, type ModelStyle } from '../family.ts';

function style(config: { readonly logit_scale: number }): Partial<ModelStyle> {
  return {
    norm: { kind: 'layer', weightOffset: 0, bias: false },
    ropeLayout: 'interleaved',
    logitMultiplier: config.logit_scale,
  };
}

/** Attention and network read the same rows, and their sum is added. */
function parallel(attention: GqaShape, intermediate: number): readonly BlockShape[] {
  return [{ preNorm: 'input_layernorm', operators: [attention, denseFfn(intermediate)] }];
}

export const cohere = defineFamily({
  modelType: 'cohere',
  architecture: 'CohereForCausalLM',
  defaults: {
    vocab_size: 256_000,
    hidden_size: 8192,
    intermediate_size: 22_528,
    num_hidden_layers: 40,
    num_attention_heads: 64,
    num_key_value_heads: null,
    head_dim: null,
    hidden_act: 'silu',
    max_position_embeddings: 8192,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: true,
    rope_theta: 500_000,
    bos_token_id: 5,
    eos_token_id: 255_001,
    attention_bias: false,
    use_qk_norm: false,
    logit_scale: 0.0625,
  },
  style,
  layer: (config) =>
    parallel(
      {
        ...plainAttention,
        qkvBias: config.attention_bias,
        outputBias: config.attention_bias,
        qkNorm: config.use_qk_norm ? 'each-head' : 'none',
      },
      config.intermediate_size,
    ),
});

/** Three of four layers have a window and rope; the fourth has neither. */
export const cohere2 = defineFamily({
  modelType: 'cohere2',
  architecture: 'Cohere2ForCausalLM',
  defaults: {
    vocab_size: 256_000,
    hidden_size: 8192,
    intermediate_size: 22_528,
    num_hidden_layers: 40,
    num_attention_heads: 64,
    num_key_value_heads: null,
    head_dim: null,
    hidden_act: 'silu',
    max_position_embeddings: 8192,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: true,
    rope_theta: 10_000,
    bos_token_id: 5,
    eos_token_id: 255_001,
    attention_bias: false,
    sliding_window: 4096,
    layer_types: null,
    logit_scale: 0.0625,
  },
  style,
  layer: (config, index) => {
    const types = config.layer_types;
    const slides = types ? types[index] === 'sliding_attention' : (index + 1) % 4 !== 0;
    return parallel(
      {
        ...plainAttention,
        qkvBias: config.attention_bias,
        outputBias: config.attention_bias,
        rope: slides ? 0 : null,
        window: windowIf(slides, config.sliding_window),
      },
      config.intermediate_size,
    );
  },
});

import type { ModelConfig } from '../../config/config.ts';
import { windowIf } from '../../config/window.ts';
import { denseFfn } from '../../operators/ffn.ts';
import { type GqaShape, plainAttention } from '../../operators/gqa.ts';
import { attentionThenFfn, type BlockShape, defineFamily, type ModelStyle } from '../family.ts';

function styleOf(config: Pick<ModelConfig, 'hidden_size' | 'final_logit_softcapping'>): Partial<ModelStyle> {
  return {
    norm: { kind: 'rms', weightOffset: 1, bias: false },
    embeddingMultiplier: Math.sqrt(config.hidden_size),
    logitSoftcap: config.final_logit_softcapping ?? 0,
  };
}

type AttentionKeys = 'attention_bias' | 'sliding_window' | 'query_pre_attn_scalar' | 'attn_logit_softcapping';

function attentionOf(config: Pick<ModelConfig, AttentionKeys>, slides: boolean): GqaShape {
  return {
    ...plainAttention,
    qkvBias: config.attention_bias,
    outputBias: config.attention_bias,
    window: windowIf(slides, config.sliding_window),
    scale: config.query_pre_attn_scalar ** -0.5,
    softcap: config.attn_logit_softcapping ?? 0,
  };
}

/** Each operator between two norms. */
function blocks(attention: GqaShape, intermediate: number): readonly BlockShape[] {
  return [
    { preNorm: 'input_layernorm', operators: [attention], postNorm: 'post_attention_layernorm' },
    {
      preNorm: 'pre_feedforward_layernorm',
      operators: [denseFfn(intermediate)],
      postNorm: 'post_feedforward_layernorm',
    },
  ];
}

/** Without bounds and windows, and one norm before each operator. */
export const gemma = defineFamily({
  modelType: 'gemma',
  architecture: 'GemmaForCausalLM',
  // What early files call by its exact form is computed by its tanh form all the same.
  translate: ({ hidden_act: act, ...file }) =>
    act === undefined || act === 'gelu' ? file : { ...file, hidden_act: act },
  defaults: {
    vocab_size: 256_000,
    hidden_size: 3072,
    intermediate_size: 24_576,
    num_hidden_layers: 28,
    num_attention_heads: 16,
    num_key_value_heads: 16,
    head_dim: 256,
    hidden_act: 'gelu_pytorch_tanh',
    max_position_embeddings: 8192,
    rms_norm_eps: 1e-6,
    tie_word_embeddings: true,
    rope_theta: 10_000,
    bos_token_id: 2,
    eos_token_id: 1,
    attention_bias: false,
    use_bidirectional_attention: false,
  },
  style: (config) => styleOf({ ...config, final_logit_softcapping: null }),
  layer: (config) =>
    attentionThenFfn(
      { ...plainAttention, qkvBias: config.attention_bias, outputBias: config.attention_bias },
      denseFfn(config.intermediate_size),
    ),
});

export const gemma2 = defineFamily({
  modelType: 'gemma2',
  architecture: 'Gemma2ForCausalLM',
  defaults: {
    vocab_size: 256_000,
    hidden_size: 2304,
    intermediate_size: 9216,
    num_hidden_layers: 26,
    num_attention_heads: 8,
    num_key_value_heads: 4,
    head_dim: 256,
    hidden_act: 'gelu_pytorch_tanh',
    max_position_embeddings: 8192,
    rms_norm_eps: 1e-6,
    tie_word_embeddings: true,
    rope_theta: 10_000,
    bos_token_id: 2,
    eos_token_id: 1,
    attention_bias: false,
    use_bidirectional_attention: false,
    sliding_window: 4096,
    layer_types: null,
    query_pre_attn_scalar: 256,
    attn_logit_softcapping: 50,
    final_logit_softcapping: 30,
  },
  style: (config) => styleOf(config),
  layer: (config, index) => {
    const types = config.layer_types;
    const slides = types ? types[index] === 'sliding_attention' : index % 2 === 0;
    return blocks(attentionOf(config, slides), config.intermediate_size);
  },
});

/** Norms of queries and keys instead of bounds of scores, and another rope in layers with a window. */
export const gemma3 = defineFamily({
  modelType: 'gemma3_text',
  architecture: 'Gemma3ForCausalLM',
  defaults: {
    vocab_size: 262_208,
    hidden_size: 2304,
    intermediate_size: 9216,
    num_hidden_layers: 26,
    num_attention_heads: 8,
    num_key_value_heads: 4,
    head_dim: 256,
    hidden_act: 'gelu_pytorch_tanh',
    max_position_embeddings: 131_072,
    rms_norm_eps: 1e-6,
    tie_word_embeddings: true,
    rope_theta: 1_000_000,
    bos_token_id: 2,
    eos_token_id: 1,
    attention_bias: false,
    use_bidirectional_attention: false,
    sliding_window: 4096,
    sliding_window_pattern: 6,
    layer_types: null,
    rope_local_base_freq: 10_000,
    query_pre_attn_scalar: 256,
    attn_logit_softcapping: null,
    final_logit_softcapping: null,
  },
  style: (config) => ({
    ...styleOf(config),
    ropes: [
      { name: 'full_attention', theta: null },
      { name: 'sliding_attention', theta: config.rope_local_base_freq },
    ],
  }),
  layer: (config, index) => {
    const { layer_types: types, sliding_window_pattern: pattern } = config;
    const slides = types ? types[index] === 'sliding_attention' : pattern !== null && (index + 1) % pattern !== 0;
    const attention = { ...attentionOf(config, slides), qkNorm: 'per-head', rope: slides ? 1 : 0 } as const;
    return blocks(attention, config.intermediate_size);
  },
});

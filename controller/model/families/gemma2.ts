import { denseFfn } from '../operators/ffn.ts';
import { plainAttention } from '../operators/gqa.ts';
import { defineFamily } from './family.ts';

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
    sliding_window: 4096,
    layer_types: null,
    query_pre_attn_scalar: 256,
    attn_logit_softcapping: 50,
    final_logit_softcapping: 30,
  },
  style: (config) => ({
    norm: { kind: 'rms', weightOffset: 1, bias: false },
    embeddingMultiplier: Math.sqrt(config.hidden_size),
    logitSoftcap: config.final_logit_softcapping ?? 0,
  }),
  layer: (config, index) => {
    const types = config.layer_types;
    const slides = types ? types[index] === 'sliding_attention' : index % 2 === 0;
    const attention = {
      ...plainAttention,
      qkvBias: config.attention_bias,
      outputBias: config.attention_bias,
      window: { slidingWindow: slides ? (config.sliding_window ?? 0) : 0 },
      scale: config.query_pre_attn_scalar ** -0.5,
      softcap: config.attn_logit_softcapping ?? 0,
    };
    return [
      { preNorm: 'input_layernorm', operators: [attention], postNorm: 'post_attention_layernorm' },
      {
        preNorm: 'pre_feedforward_layernorm',
        operators: [denseFfn(config.intermediate_size)],
        postNorm: 'post_feedforward_layernorm',
      },
    ];
  },
});

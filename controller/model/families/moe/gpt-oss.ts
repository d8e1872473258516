import { windowIf } from '../../config/window.ts';
import { plainAttention } from '../../operators/gqa.ts';
import { plainMoe, softmaxGate } from '../../operators/moe.ts';
import { attentionThenFfn, defineFamily } from '../family.ts';

/** Sinks, biases everywhere, and experts whose gate and up take turns. */
export const gptOss = defineFamily({
  modelType: 'gpt_oss',
  architecture: 'GptOssForCausalLM',
  defaults: {
    vocab_size: 201_088,
    hidden_size: 2880,
    intermediate_size: 2880,
    num_hidden_layers: 36,
    num_attention_heads: 64,
    num_key_value_heads: 8,
    head_dim: 64,
    hidden_act: 'silu',
    max_position_embeddings: 131_072,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: false,
    rope_theta: 150_000,
    bos_token_id: null,
    eos_token_id: null,
    attention_bias: true,
    sliding_window: 128,
    layer_types: null,
    num_experts: 128,
    num_experts_per_tok: 4,
    swiglu_alpha: 1.702,
    swiglu_limit: 7,
  },
  layer: (config, index) => {
    const types = config.layer_types;
    const slides = types ? types[index] === 'sliding_attention' : index % 2 === 0;
    const attention = {
      ...plainAttention,
      qkvBias: config.attention_bias,
      outputBias: config.attention_bias,
      sinks: 'sinks',
      window: windowIf(slides, config.sliding_window),
    };
    return attentionThenFfn(attention, {
      ...plainMoe,
      storage: 'interleaved',
      names: { gateUp: 'experts.gate_up_proj', down: 'experts.down_proj' },
      biases: true,
      activation: { activation: 'ACTIVATION_CLAMPED_SWIGLU', activationLimit: config.swiglu_limit },
      experts: config.num_experts,
      topK: config.num_experts_per_tok,
      intermediate: config.intermediate_size,
      gate: { ...softmaxGate(true), name: 'router', bias: true },
    });
  },
});

import { denseFfn } from '../../operators/ffn.ts';
import { plainAttention } from '../../operators/gqa.ts';
import { attentionThenFfn, defineFamily } from '../family.ts';

const defaults = {
  vocab_size: 151_552,
  hidden_size: 4096,
  intermediate_size: 13_696,
  num_hidden_layers: 40,
  num_attention_heads: 32,
  num_key_value_heads: 2,
  head_dim: 128,
  hidden_act: 'silu',
  max_position_embeddings: 131_072,
  rms_norm_eps: 1.5625e-7,
  tie_word_embeddings: false,
  rope_theta: 10_000,
  bos_token_id: null,
  eos_token_id: [151_329, 151_336, 151_338] as number[],
  attention_bias: true,
} as const;

const style = { ropeLayout: 'interleaved', partialRotary: 0.5 } as const;
const names = { gateUp: 'gate_up_proj', down: 'down_proj' };

/** GLM-4-9B: a part of each head rotates; one matrix for gate and up. */
export const glm = defineFamily({
  modelType: 'glm',
  architecture: 'GlmForCausalLM',
  defaults,
  style: () => style,
  layer: (config) =>
    attentionThenFfn(
      { ...plainAttention, qkvBias: config.attention_bias },
      { ...denseFfn(config.intermediate_size), names },
    ),
});

/** GLM-4-0414: norms after operators too. */
export const glm4 = defineFamily({
  modelType: 'glm4',
  architecture: 'Glm4ForCausalLM',
  defaults,
  style: () => style,
  layer: (config) => [
    {
      preNorm: 'input_layernorm',
      operators: [{ ...plainAttention, qkvBias: config.attention_bias }],
      postNorm: 'post_self_attn_layernorm',
    },
    {
      preNorm: 'post_attention_layernorm',
      operators: [{ ...denseFfn(config.intermediate_size), names }],
      postNorm: 'post_mlp_layernorm',
    },
  ],
});

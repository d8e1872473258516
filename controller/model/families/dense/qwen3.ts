import { layeredWindow, layeredWindowDefaults } from '../../config/window.ts';
import { denseFfn } from '../../operators/ffn.ts';
import { type GqaShape, plainAttention } from '../../operators/gqa.ts';
import { attentionThenFfn, defineFamily } from '../family.ts';

const defaults = {
  vocab_size: 151_936,
  hidden_size: 4096,
  intermediate_size: 22_016,
  num_hidden_layers: 32,
  num_attention_heads: 32,
  num_key_value_heads: 32,
  head_dim: 128,
  hidden_act: 'silu',
  max_position_embeddings: 32_768,
  rms_norm_eps: 1e-6,
  tie_word_embeddings: false,
  rope_theta: 10_000,
  bos_token_id: null,
  eos_token_id: null,
  attention_bias: false,
} as const;

function attentionOf({ attention_bias: bias }: { readonly attention_bias: boolean }): GqaShape {
  return { ...plainAttention, qkvBias: bias, outputBias: bias, qkNorm: 'per-head' };
}

export const qwen3 = defineFamily({
  modelType: 'qwen3',
  architecture: 'Qwen3ForCausalLM',
  defaults: { ...defaults, ...layeredWindowDefaults },
  layer: (config, index) =>
    attentionThenFfn(
      { ...attentionOf(config), window: layeredWindow(config, index) },
      denseFfn(config.intermediate_size),
    ),
});

/** Of a model that takes images, whose three positions of a token are equal in text. */
export const qwen3VlText = defineFamily({
  modelType: 'qwen3_vl_text',
  architecture: 'Qwen3VLTextModel',
  defaults: { ...defaults, max_position_embeddings: 128_000, rope_theta: 500_000 },
  layer: (config) => attentionThenFfn(attentionOf(config), denseFfn(config.intermediate_size)),
});

import type { ModelConfig } from '../../config/config.ts';
import { windowIf } from '../../config/window.ts';
import { denseFfn } from '../../operators/ffn.ts';
import { plainAttention } from '../../operators/gqa.ts';
import { defineFamily, normedOutputs } from '../family.ts';

const defaults = {
  vocab_size: 50_304,
  hidden_size: 4096,
  intermediate_size: 11_008,
  num_hidden_layers: 32,
  num_attention_heads: 32,
  num_key_value_heads: null,
  head_dim: null,
  hidden_act: 'silu',
  max_position_embeddings: 2048,
  rms_norm_eps: 1e-5,
  tie_word_embeddings: false,
  rope_theta: 10_000,
  bos_token_id: null,
  eos_token_id: 50_279,
  attention_bias: false,
} as const;

/** Norms of queries and keys over all heads; what operators give is normalised, not what they read. */
export function olmoAttention({ attention_bias: bias }: Pick<ModelConfig, 'attention_bias'>) {
  return { ...plainAttention, qkvBias: bias, outputBias: bias, qkNorm: 'full-width' } as const;
}

export const olmo2 = defineFamily({
  modelType: 'olmo2',
  architecture: 'Olmo2ForCausalLM',
  defaults,
  layer: (config) => normedOutputs(olmoAttention(config), denseFfn(config.intermediate_size)),
});

/** Windows, and a rope of their own for layers without one. */
export const olmo3 = defineFamily({
  modelType: 'olmo3',
  architecture: 'Olmo3ForCausalLM',
  defaults: { ...defaults, rope_theta: 500_000, sliding_window: 4096, layer_types: null },
  style: (config) => ({
    ropes: [
      { name: 'full_attention', theta: null },
      { name: 'sliding_attention', theta: config.rope_theta },
    ],
  }),
  layer: (config, index) => {
    const types = config.layer_types;
    const slides = types ? types[index] === 'sliding_attention' : (index + 1) % 4 !== 0;
    const window = windowIf(slides, config.sliding_window);
    return normedOutputs(
      { ...olmoAttention(config), window, rope: slides ? 1 : 0 },
      denseFfn(config.intermediate_size),
    );
  },
});

import { windowIf } from '../../config/window.ts';
import { denseFfn } from '../../operators/ffn.ts';
import { plainAttention } from '../../operators/gqa.ts';
import { type ConfigFile, defineFamily, normedOutputs } from '../family.ts';

/** What operators give is normalised; where there are windows, layers without one have no rope. */
export const exaone4 = defineFamily({
  modelType: 'exaone4',
  architecture: 'Exaone4ForCausalLM',
  translate,
  defaults: {
    vocab_size: 102_400,
    hidden_size: 4096,
    intermediate_size: 16_384,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    num_key_value_heads: 32,
    head_dim: null,
    hidden_act: 'silu',
    max_position_embeddings: 2048,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: false,
    rope_theta: 10_000,
    bos_token_id: 0,
    eos_token_id: 2,
    sliding_window: 4096,
    sliding_window_pattern: 4,
    layer_types: null,
  },
  layer: (config, index) => {
    const { layer_types: types, sliding_window: window, sliding_window_pattern: pattern } = config;
    const inPattern = types ? types[index] === 'sliding_attention' : pattern !== null && (index + 1) % pattern !== 0;
    const slides = window !== null && inPattern;
    return normedOutputs(
      {
        ...plainAttention,
        qkNorm: 'per-head',
        window: windowIf(slides, window),
        rope: window === null || slides ? 0 : null,
      },
      denseFfn(config.intermediate_size),
    );
  },
});

/** A pattern may be letters: windows, and one layer without at its end. */
function translate(file: ConfigFile): ConfigFile {
  const { sliding_window_pattern: pattern } = file;
  if (typeof pattern !== 'string' || !/^L*G$/.test(pattern)) return file;
  return { ...file, sliding_window_pattern: pattern.length };
}

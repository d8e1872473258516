import type { ModelConfig } from '../../config/config.ts';
import { numbered, sharedExpert } from '../../operators/ffn.ts';
import { type ConfigFile, defineFamily, plainStyle, renameKeys } from '../family.ts';
import { mixerThenFfn } from './lfm2-moe.ts';

/** Short convolutions in some layers, attention in the others. */
export const lfm2 = defineFamily({
  modelType: 'lfm2',
  architecture: 'Lfm2ForCausalLM',
  translate,
  defaults: {
    vocab_size: 65_536,
    hidden_size: 2560,
    intermediate_size: 12_288,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    num_key_value_heads: 8,
    head_dim: null,
    hidden_act: 'silu',
    max_position_embeddings: 128_000,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: true,
    rope_theta: 1_000_000,
    bos_token_id: 1,
    eos_token_id: 2,
    layer_types: null,
    conv_L_cache: 3,
    conv_bias: false,
    block_multiple_of: 256,
    block_ffn_dim_multiplier: 1,
    block_auto_adjust_ff_dim: true,
  },
  style: () => ({ names: { ...plainStyle.names, finalNorm: 'model.embedding_norm' } }),
  layer: (config, index) => mixerThenFfn(config, index, sharedExpert('feed_forward', widthOf(config), numbered)),
});

type Widths = Pick<
  ModelConfig,
  'intermediate_size' | 'block_multiple_of' | 'block_ffn_dim_multiplier' | 'block_auto_adjust_ff_dim'
>;

/** Of networks: as stated, or two thirds of it, times a factor and rounded up. */
function widthOf({ intermediate_size: width, block_multiple_of: unit, ...config }: Widths): number {
  if (!config.block_auto_adjust_ff_dim) return width;
  const part = Math.trunc((2 * width) / 3);
  if (config.block_ffn_dim_multiplier === null) return part;
  return unit * Math.ceil(Math.trunc(config.block_ffn_dim_multiplier * part) / unit);
}

/** Attention may be said by the numbers of its layers, and be everywhere where nothing is said. */
function translate({ full_attn_idxs: attention, block_ff_dim: width, ...given }: ConfigFile): ConfigFile {
  const file = renameKeys(given, { norm_eps: 'rms_norm_eps', tie_embedding: 'tie_word_embeddings' });
  const { num_hidden_layers: layers, layer_types: types } = file;
  const kinds =
    typeof layers === 'number' && layers < 10_000 && Array.isArray(attention)
      ? Array.from({ length: layers }, (_, index) => (attention.includes(index) ? 'full_attention' : 'conv'))
      : undefined;
  return {
    ...file,
    ...(width !== undefined && { intermediate_size: width }),
    ...(types == null && kinds !== undefined && { layer_types: kinds }),
  };
}

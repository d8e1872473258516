/** Families whose latent attention reads the positions that an indexer selects. */
import type { ModelConfig } from '../../config/config.ts';
import type { RopeLayout } from '../../config/rope.ts';
import { denseFfn } from '../../operators/ffn.ts';
import { latentAttention } from '../../operators/mla.ts';
import { noauxExperts } from '../../operators/noaux.ts';
import { attentionThenFfn, defineFamily, isDense, isPredictionLayer } from '../family.ts';
import { choiceProblem, defaults as denseDefaults, type Sizes } from './deepseek-v3.ts';

const defaults = {
  ...denseDefaults,
  layer_types: null,
  index_n_heads: 64,
  index_head_dim: 128,
  index_topk: 2048,
  indexer_types: null,
  index_topk_freq: 1,
  index_topk_pattern: null,
  index_skip_topk_offset: 2,
} as const;

type Pattern = Pick<
  ModelConfig,
  'indexer_types' | 'index_topk_pattern' | 'index_topk_freq' | 'index_skip_topk_offset' | 'num_hidden_layers'
>;

/** Whether layer `index` reads what an earlier one selected. */
function sharesSelection(config: Pattern, index: number): boolean {
  const { indexer_types: types, index_topk_pattern: pattern } = config;
  if (types) return types[index] === 'shared';
  if (pattern) return pattern[index] === 'S';
  return Math.max(index - config.index_skip_topk_offset + 1, 0) % config.index_topk_freq !== 0;
}

function patternProblem(config: Pattern): string | null {
  for (const key of ['indexer_types', 'index_topk_pattern'] as const) {
    const { length = config.num_hidden_layers } = config[key] ?? {};
    if (length === config.num_hidden_layers) continue;
    return `${key} has ${length} entries; expected num_hidden_layers, which is ${config.num_hidden_layers}`;
  }
  return sharesSelection(config, 0) ? 'layer 0 shares an indexer; expected one of its own' : null;
}

const names = {
  q: 'indexer.wq_b',
  k: 'indexer.wk',
  qNorm: null,
  kNorm: 'indexer.k_norm',
  weights: 'indexer.weights_proj',
} as const;

const sparseFamily = (
  modelType: string,
  architecture: string,
  indexRope: RopeLayout,
  given: Readonly<Partial<Pick<ModelConfig, Sizes | 'index_n_heads'>>>,
) =>
  defineFamily({
    modelType,
    architecture,
    defaults: { ...defaults, ...given },
    style: (config) => ({
      ropeLayout: config.rope_interleave ? 'interleaved' : 'half',
      ropes: [
        { name: 'full_attention', theta: null },
        { name: 'full_attention', theta: null, layout: indexRope },
      ],
      withPrevious: (index) => sharesSelection(config, index),
      unused: (name) => isPredictionLayer(name, config),
    }),
    problem: (config) => choiceProblem(config) ?? patternProblem(config),
    layer: (config, index) => {
      const shares = sharesSelection(config, index);
      const indexer = {
        heads: config.index_n_heads,
        headDim: config.index_head_dim,
        kept: config.index_topk,
        blockSize: 1,
        latest: 0,
        rope: 1,
        names,
        layerNormEpsilon: 1e-6,
      };
      const attention = { ...latentAttention(config), indexer: shares ? null : indexer, sharesSelection: shares };
      const ffn = isDense(config, index) ? [denseFfn(config.intermediate_size)] : noauxExperts(config);
      return attentionThenFfn(attention, ...ffn);
    },
  });

/** DeepSeek-V3.2. */
export const deepseekV32 = sparseFamily('deepseek_v32', 'DeepseekV32ForCausalLM', 'half', {});

/** GLM-5, where layers may read what an earlier one selected. */
export const glmMoeDsa = sparseFamily('glm_moe_dsa', 'GlmMoeDsaForCausalLM', 'interleaved', {
  vocab_size: 154_880,
  hidden_size: 6144,
  intermediate_size: 12_288,
  num_hidden_layers: 78,
  num_attention_heads: 64,
  max_position_embeddings: 202_752,
  rms_norm_eps: 1e-5,
  q_lora_rank: 2048,
  qk_nope_head_dim: 192,
  v_head_dim: 256,
  first_k_dense_replace: 3,
  index_n_heads: 32,
  n_group: 1,
  topk_group: 1,
  routed_scaling_factor: 2.5,
});

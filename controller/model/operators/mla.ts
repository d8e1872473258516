import type { MlaSpec__Output as MlaSpec } from '../../../proto/generated/conclave/v1/MlaSpec.ts';
import type { OperatorSpec__Output as OperatorSpec } from '../../../proto/generated/conclave/v1/OperatorSpec.ts';
import type { QueryScaling__Output as QueryScaling } from '../../../proto/generated/conclave/v1/QueryScaling.ts';
import { type Builder, linear, norm, scaledNorm } from '../checkpoint/parts.ts';
import type { ModelConfig } from '../config/config.ts';
import type { Dimensions } from '../config/dimensions.ts';
import { buildIndexer, type IndexerShape } from './indexer.ts';

/** Attention over latents; see MlaSpec in model.proto. */
export interface MlaShape {
  readonly kind: 'mla';
  /** Below the layer. */
  readonly path: string;
  readonly plainDim: number;
  readonly rotaryDim: number;
  readonly valueDim: number;
  readonly latentDim: number;
  /** Of the rows that queries are made of; null: they are made of the input. */
  readonly queryRank: number | null;
  /** Biases on the projections to latents and on the output projection. */
  readonly bias: boolean;
  readonly scale: number;
  /** Which of the model's ropes; null: none. */
  readonly rope: number | null;
  readonly queryScaling: QueryScaling | null;
  readonly outputName: string;
  /** Where below the path the gate of each head lies; null: none. */
  readonly headGate: string | null;
  /** Null: attention reads all positions. */
  readonly indexer: IndexerShape | null;
  /** Reads what the last indexer before it selected. */
  readonly sharesSelection: boolean;
  /** Multiply queries, and latents after their norm. */
  readonly queryMultiplier: number;
  readonly latentMultiplier: number;
}

/** Of the norms of latents, whatever the configuration says of the others. */
const latentEpsilon = 1e-6;

type MlaKeys =
  | 'q_lora_rank'
  | 'kv_lora_rank'
  | 'qk_nope_head_dim'
  | 'qk_rope_head_dim'
  | 'v_head_dim'
  | 'attention_bias'
  | 'rope_type'
  | 'factor'
  | 'mscale_all_dim';

/** Defaults of the keys that are read from the rope's own object. */
export const latentRopeDefaults = { rope_type: 'default', factor: null, mscale_all_dim: null } as const;

/** Attention as the keys of DeepSeek's configurations describe it. */
export function latentAttention(config: Pick<ModelConfig, MlaKeys>): MlaShape {
  const { qk_nope_head_dim: plainDim, qk_rope_head_dim: rotaryDim, factor, mscale_all_dim: mscale } = config;
  // Where yarn stretches positions, scores grow with the logarithm of how much.
  const stretched = config.rope_type !== 'default' && mscale && factor !== null && factor > 1;
  const growth = stretched ? 0.1 * mscale * Math.log(factor) + 1 : 1;
  return {
    kind: 'mla',
    path: 'self_attn',
    plainDim,
    rotaryDim,
    valueDim: config.v_head_dim,
    latentDim: config.kv_lora_rank,
    queryRank: config.q_lora_rank,
    bias: config.attention_bias,
    scale: (plainDim + rotaryDim) ** -0.5 * growth ** 2,
    rope: 0,
    queryScaling: null,
    outputName: 'o_proj',
    headGate: null,
    indexer: null,
    sharesSelection: false,
    queryMultiplier: 1,
    latentMultiplier: 1,
  };
}

export function buildMla(
  builder: Builder,
  layer: string,
  shape: MlaShape,
  { hidden, heads }: Dimensions,
): OperatorSpec {
  const path = `${layer}.${shape.path}`;
  const { plainDim, rotaryDim, valueDim, latentDim, queryRank, bias, rope, headGate, indexer } = shape;
  const latentBuilder = { ...builder, epsilon: latentEpsilon };
  const queries = heads * (plainDim + rotaryDim);
  const down = queryRank !== null && {
    qDown: linear(builder, `${path}.q_a_proj`, queryRank, hidden, bias),
    // Of what queries are made of, so that it multiplies them.
    qNorm: scaledNorm(norm(latentBuilder, `${path}.q_a_layernorm`, queryRank), shape.queryMultiplier),
    q: linear(builder, `${path}.q_b_proj`, queries, queryRank, false),
  };
  const mla: MlaSpec = {
    heads,
    plainDim,
    rotaryDim,
    valueDim,
    latentDim,
    scale: Math.fround(shape.scale),
    ...(rope !== null && { rope, _rope: 'rope' as const }),
    ...(down || { qDown: null, qNorm: null, q: linear(builder, `${path}.q_proj`, queries, hidden, false) }),
    latent: linear(builder, `${path}.kv_a_proj_with_mqa`, latentDim + rotaryDim, hidden, bias),
    latentNorm: scaledNorm(norm(latentBuilder, `${path}.kv_a_layernorm`, latentDim), shape.latentMultiplier),
    expand: builder.tensors.matrix(`${path}.kv_b_proj.weight`, heads * (plainDim + valueDim), latentDim),
    o: linear(builder, `${path}.${shape.outputName}`, hidden, heads * valueDim, bias),
    queryScaling: shape.queryScaling,
    outputGate: headGate === null ? null : linear(builder, `${path}.${headGate}`, heads, hidden, false),
    indexer: indexer && buildIndexer(builder, path, indexer, queryRank ?? hidden, hidden),
    sharesSelection: shape.sharesSelection,
  };
  const keyWidth = latentDim + rotaryDim;
  const paged = {
    heads: 1,
    keyWidth,
    valueWidth: latentDim,
    valuesInsideKeys: true,
    replicated: true,
    indexWidth: indexer?.headDim ?? 0,
  };
  return { kind: 'mla', mla, cache: { kind: 'paged', paged } };
}

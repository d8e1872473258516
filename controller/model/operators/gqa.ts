import type { GqaSpec__Output as GqaSpec } from '../../../proto/generated/conclave/v1/GqaSpec.ts';
import type { LinearSpec__Output as LinearSpec } from '../../../proto/generated/conclave/v1/LinearSpec.ts';
import type { NormSpec__Output as NormSpec } from '../../../proto/generated/conclave/v1/NormSpec.ts';
import type { OperatorSpec__Output as OperatorSpec } from '../../../proto/generated/conclave/v1/OperatorSpec.ts';
import type { QueryScaling__Output as QueryScaling } from '../../../proto/generated/conclave/v1/QueryScaling.ts';
import { type Builder, bareNorm, linear, norm } from '../checkpoint/parts.ts';
import type { Dimensions } from '../config/dimensions.ts';
import { noWindow, type Window } from '../config/window.ts';
import { withoutBias } from './ffn.ts';
import { buildIndexer, type IndexerShape } from './indexer.ts';

/** Grouped-query attention as a family has it; sizes are in Dimensions. */
export interface GqaShape {
  readonly kind: 'gqa';
  /** Below the layer, such as "self_attn". */
  readonly path: string;
  /** Name of the one matrix that holds q, k and v, in this order; null: each has its own. */
  readonly fused: string | null;
  /** Name of the output projection. */
  readonly outputName: string;
  /** Biases on the q, k and v projections. */
  readonly qkvBias: boolean;
  /** Bias on the output projection. */
  readonly outputBias: boolean;
  /** Norm of queries and keys: over each head (with the same weights, weights of its own, or none) or over all. */
  readonly qkNorm: 'none' | 'per-head' | 'full-width' | 'each-head' | 'bare';
  readonly normNames: { readonly q: string; readonly k: string };
  /** The norms come after rope. */
  readonly normAfterRope: boolean;
  /** Which of the model's ropes rotates queries and keys; null: none. */
  readonly rope: number | null;
  readonly window: Window;
  /** Positions see those of their chunk of so many; 0: of all. */
  readonly chunk: number;
  /** Multiplies q.k; null: head_dim ** -0.5. */
  readonly scale: number | null;
  /** Bounds scores; 0: does not. */
  readonly softcap: number;
  /** Name of the learned logits of heads that give nothing; null: there are none. */
  readonly sinks: string | null;
  /** Where below the path the gate on what attention gives lies; null: none. */
  readonly outputGate: string | null;
  readonly gateFunction: 'sigmoid' | 'softplus';
  /** The gate has one factor for each head. */
  readonly gateByHead: boolean;
  /** The gate lies in the query projection, each head's rows behind those of its query. */
  readonly gateBesideQueries: boolean;
  readonly queryScaling: QueryScaling | null;
  /** q, k and v are clamped to this magnitude; 0: not. */
  readonly clip: number;
  /** Of this layer; null: those in Dimensions. */
  readonly heads: number | null;
  readonly kvHeads: number | null;
  readonly headDim: number | null;
  /** Elements of a value; null: as many as of a head. */
  readonly valueDim: number | null;
  /** Values have a norm without weights. */
  readonly valueNorm: boolean;
  /** There is no v_proj: values are keys as they are projected. */
  readonly keysAreValues: boolean;
  readonly valueMultiplier: number;
  /** Null: attention reads all positions. */
  readonly indexer: IndexerShape | null;
  /** The layer whose keys and values are read; null: it has its own. */
  readonly cacheLayer: number | null;
}

export const plainAttention: GqaShape = {
  kind: 'gqa',
  path: 'self_attn',
  fused: null,
  outputName: 'o_proj',
  qkvBias: false,
  outputBias: false,
  qkNorm: 'none',
  normNames: { q: 'q_norm', k: 'k_norm' },
  normAfterRope: false,
  rope: 0,
  window: noWindow,
  chunk: 0,
  scale: null,
  softcap: 0,
  sinks: null,
  outputGate: null,
  gateFunction: 'sigmoid',
  gateByHead: false,
  gateBesideQueries: false,
  queryScaling: null,
  clip: 0,
  heads: null,
  kvHeads: null,
  headDim: null,
  valueDim: null,
  valueNorm: false,
  keysAreValues: false,
  valueMultiplier: 1,
  indexer: null,
  cacheLayer: null,
};

const qkNorms = {
  none: 'QK_NORM_UNSPECIFIED',
  'per-head': 'QK_NORM_PER_HEAD',
  'full-width': 'QK_NORM_FULL_WIDTH',
  'each-head': 'QK_NORM_EACH_HEAD',
  bare: 'QK_NORM_PER_HEAD',
} as const;

/** The matrices of q, k and v, and of the gate. */
function projections(
  builder: Builder,
  path: string,
  { fused, qkvBias, gateBesideQueries, outputGate: gate, gateByHead, keysAreValues, cacheLayer }: GqaShape,
  { hidden, heads, kvHeads, headDim, valueDim }: Sizes,
): Pick<GqaSpec, 'q' | 'k' | 'v' | 'outputGate'> {
  const [width, kvWidth] = [heads * headDim, kvHeads * headDim];
  const gates = gateByHead ? heads : heads * valueDim;
  const outputGate = gate === null ? null : linear(builder, `${path}.${gate}`, gates, hidden, false);
  if (fused === null) {
    const queries = gateBesideQueries
      ? queriesAndGates(builder, `${path}.q_proj`, [width, hidden, headDim], qkvBias)
      : { q: linear(builder, `${path}.q_proj`, width, hidden, qkvBias), outputGate };
    if (cacheLayer !== null) return { ...queries, k: null, v: null };
    const k = linear(builder, `${path}.k_proj`, kvWidth, hidden, qkvBias);
    const v = keysAreValues ? k : linear(builder, `${path}.v_proj`, kvHeads * valueDim, hidden, qkvBias);
    return { ...queries, k, v };
  }
  const all = builder.tensors.stack(`${path}.${fused}.weight`, [width + 2 * kvWidth, hidden]);
  return {
    q: withoutBias(all.matrix(0, 0, width)),
    k: withoutBias(all.matrix(0, width, kvWidth)),
    v: withoutBias(all.matrix(0, width + kvWidth, kvWidth)),
    outputGate,
  };
}

/** Of one layer's attention. */
interface Sizes extends Dimensions {
  readonly valueDim: number;
}

function sizesOf(shape: GqaShape, dimensions: Dimensions): Sizes {
  const headDim = shape.headDim ?? dimensions.headDim;
  return {
    hidden: dimensions.hidden,
    heads: shape.heads ?? dimensions.heads,
    kvHeads: shape.kvHeads ?? dimensions.kvHeads,
    headDim,
    valueDim: shape.valueDim ?? headDim,
  };
}

const gateFunctions = { sigmoid: 'GATE_FUNCTION_SIGMOID', softplus: 'GATE_FUNCTION_SOFTPLUS' } as const;

export function buildGqa(builder: Builder, layer: string, shape: GqaShape, dimensions: Dimensions): OperatorSpec {
  const sizes = sizesOf(shape, dimensions);
  const { hidden, heads, kvHeads, headDim, valueDim } = sizes;
  const path = `${layer}.${shape.path}`;
  const headNorm = (name: string, count: number): NormSpec | null => {
    switch (shape.qkNorm) {
      case 'none':
        return null;
      case 'bare':
        return bareNorm(builder);
      case 'per-head':
        return norm(builder, `${path}.${name}`, headDim);
      case 'full-width':
        return norm(builder, `${path}.${name}`, count * headDim);
      case 'each-head':
        return norm(builder, `${path}.${name}`, count * headDim, [count, headDim]);
    }
  };
  const { cacheLayer } = shape;
  const keeps = cacheLayer === null;
  const gqa: GqaSpec = {
    heads,
    kvHeads,
    headDim,
    scale: Math.fround(shape.scale ?? headDim ** -0.5),
    ...shape.window,
    ...(shape.rope !== null && { rope: shape.rope, _rope: 'rope' as const }),
    ...projections(builder, path, shape, sizes),
    o: linear(builder, `${path}.${shape.outputName}`, hidden, heads * valueDim, shape.outputBias),
    qNorm: headNorm(shape.normNames.q, heads),
    kNorm: keeps ? headNorm(shape.normNames.k, kvHeads) : null,
    qkNorm: qkNorms[shape.qkNorm],
    normAfterRope: shape.normAfterRope,
    clipQkv: Math.fround(shape.clip),
    chunk: shape.chunk,
    softcap: Math.fround(shape.softcap),
    sinks: shape.sinks === null ? null : builder.tensors.vector(`${path}.${shape.sinks}`, heads),
    queryScaling: shape.queryScaling,
    valueDim,
    vNorm: shape.valueNorm && keeps ? bareNorm(builder) : null,
    valueMultiplier: Math.fround(shape.valueMultiplier),
    keysAreValues: shape.keysAreValues,
    gateFunction: gateFunctions[shape.gateFunction],
    indexer: shape.indexer && buildIndexer(builder, path, shape.indexer, hidden, hidden),
    ...(cacheLayer !== null && { cacheLayer, _cacheLayer: 'cacheLayer' as const }),
  };
  const paged = {
    heads: kvHeads,
    keyWidth: headDim,
    valueWidth: valueDim,
    valuesInsideKeys: false,
    replicated: false,
    indexWidth: shape.indexer?.headDim ?? 0,
  };
  return { kind: 'gqa', gqa, cache: keeps ? { kind: 'paged', paged } : null };
}

/** Queries and gates in one projection, a head's query before its gate. */
function queriesAndGates(
  { tensors }: Builder,
  name: string,
  [width, hidden, headDim]: readonly [number, number, number],
  biased: boolean,
): { readonly q: LinearSpec; readonly outputGate: LinearSpec } {
  const weights = tensors.stack(`${name}.weight`, [2 * width, hidden]);
  const biases = biased ? tensors.stack(`${name}.bias`, [2 * width]) : null;
  const part = (first: number): LinearSpec => ({
    weight: weights.groups(first, width, headDim, 2 * headDim),
    bias: biases && biases.vector(0, first, 2 * width - first),
    biasStep: 2 * headDim,
    biasGroup: headDim,
  });
  return { q: part(0), outputGate: part(headDim) };
}

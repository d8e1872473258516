import type { CompressorSpec__Output as CompressorSpec } from '../../../proto/generated/conclave/v1/CompressorSpec.ts';
import type { EntryIndexerSpec__Output as EntryIndexerSpec } from '../../../proto/generated/conclave/v1/EntryIndexerSpec.ts';
import type { OperatorSpec__Output as OperatorSpec } from '../../../proto/generated/conclave/v1/OperatorSpec.ts';
import { type Builder, bareNorm, linear, norm } from '../checkpoint/parts.ts';
import type { Dimensions } from '../config/dimensions.ts';

/** How spans of positions become entries. */
export interface SpansShape {
  /** Positions of a span. */
  readonly span: number;
  /** The span before is folded in too. */
  readonly overlapping: boolean;
}

/** What selects entries. */
export interface EntryIndexerShape {
  readonly heads: number;
  readonly headDim: number;
  readonly kept: number;
}

/** Attention over the last positions and over entries of spans; see CompressedAttentionSpec in model.proto. */
export interface CompressedAttentionShape {
  readonly kind: 'compressed-attention';
  /** Below the layer. */
  readonly path: string;
  readonly queryRank: number;
  /** Positions whose own keys are read. */
  readonly window: number;
  /** Which of the model's ropes. */
  readonly rope: number;
  /** Groups of heads, and what each reduces its heads' outputs to. */
  readonly groups: number;
  readonly reduced: number;
  /** Null: attention reads the last positions alone. */
  readonly spans: SpansShape | null;
  /** Null: attention reads all entries. */
  readonly indexer: EntryIndexerShape | null;
}

export function buildCompressedAttention(
  builder: Builder,
  layer: string,
  shape: CompressedAttentionShape,
  { hidden, heads, headDim }: Dimensions,
): OperatorSpec {
  const path = `${layer}.${shape.path}`;
  const { queryRank, groups, reduced, spans, indexer } = shape;
  const plain = (name: string, out: number, width: number) => linear(builder, `${path}.${name}`, out, width, false);
  const compressedAttention = {
    heads,
    headDim,
    scale: Math.fround(headDim ** -0.5),
    window: shape.window,
    rope: shape.rope,
    qDown: plain('wq_a', queryRank, hidden),
    qDownNorm: norm(builder, `${path}.q_norm`, queryRank),
    q: plain('wq_b', heads * headDim, queryRank),
    qNorm: bareNorm(builder),
    key: plain('wkv', headDim, hidden),
    keyNorm: norm(builder, `${path}.norm`, headDim),
    sinks: builder.tensors.vector(`${path}.attn_sink`, heads),
    groups,
    reduce: plain('wo_a', groups * reduced, (heads / groups) * headDim),
    output: plain('wo_b', hidden, groups * reduced),
    compressor: spans && buildCompressor(builder, `${path}.compressor`, spans, headDim, hidden),
    indexer: spans && indexer && buildIndexer(builder, `${path}.indexer`, spans, indexer, [queryRank, hidden]),
  };
  const stored = [compressedAttention.compressor, compressedAttention.indexer?.keys];
  const compressed = {
    keyWidth: headDim,
    span: spans?.span ?? 0,
    indexWidth: compressedAttention.indexer?.headDim ?? 0,
    // Of each column the highest gate, and two sums.
    stateElements: stored.reduce((sum, part) => sum + 3 * (part?.value?.weight?.rows ?? 0), 0),
  };
  return { kind: 'compressedAttention', compressedAttention, cache: { kind: 'compressed', compressed } };
}

function buildCompressor(
  builder: Builder,
  path: string,
  { span, overlapping }: SpansShape,
  width: number,
  hidden: number,
): CompressorSpec {
  const stored = overlapping ? 2 * width : width;
  return {
    span,
    overlapping,
    value: linear(builder, `${path}.wkv`, stored, hidden, false),
    gate: linear(builder, `${path}.wgate`, stored, hidden, false),
    bias: builder.tensors.matrix(`${path}.ape`, span, stored),
    norm: norm(builder, `${path}.norm`, width),
  };
}

function buildIndexer(
  builder: Builder,
  path: string,
  spans: SpansShape,
  { heads, headDim, kept }: EntryIndexerShape,
  [queryRank, hidden]: readonly [number, number],
): EntryIndexerSpec {
  return {
    heads,
    headDim,
    kept,
    q: linear(builder, `${path}.wq_b`, heads * headDim, queryRank, false),
    weights: linear(builder, `${path}.weights_proj`, heads, hidden, false),
    keys: buildCompressor(builder, `${path}.compressor`, spans, headDim, hidden),
  };
}

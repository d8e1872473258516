import type { IndexerSpec__Output as IndexerSpec } from '../../../proto/generated/conclave/v1/IndexerSpec.ts';
import { type Builder, linear, norm } from '../checkpoint/parts.ts';

/** What selects the positions that attention reads; see IndexerSpec in model.proto. */
export interface IndexerShape {
  readonly heads: number;
  readonly headDim: number;
  /** Blocks that are kept. */
  readonly kept: number;
  /** Positions of a block. */
  readonly blockSize: number;
  /** Blocks up to a position's own that are always kept. */
  readonly latest: number;
  /** Which of the model's ropes. */
  readonly rope: number;
  /** Below attention's path. Without weights, each head selects by itself. */
  readonly names: {
    readonly q: string;
    readonly k: string;
    readonly qNorm: string | null;
    readonly kNorm: string;
    readonly weights: string | null;
  };
  /** Keys have a layer norm with biases, and this epsilon; null: a norm in the family's style. */
  readonly layerNormEpsilon: number | null;
}

/** `queryWidth`: of what queries are made of. */
export function buildIndexer(
  builder: Builder,
  path: string,
  shape: IndexerShape,
  queryWidth: number,
  hidden: number,
): IndexerSpec {
  const { heads, headDim, kept, blockSize, latest, rope, names, layerNormEpsilon: epsilon } = shape;
  const keyBuilder: Builder =
    epsilon === null ? builder : { ...builder, epsilon, normStyle: { kind: 'layer', weightOffset: 0, bias: true } };
  return {
    heads,
    headDim,
    kept,
    blockSize,
    latest,
    rope,
    _rope: 'rope',
    q: linear(builder, `${path}.${names.q}`, heads * headDim, queryWidth, false),
    k: linear(builder, `${path}.${names.k}`, headDim, hidden, false),
    qNorm: names.qNorm === null ? null : norm(builder, `${path}.${names.qNorm}`, headDim),
    kNorm: norm(keyBuilder, `${path}.${names.kNorm}`, headDim),
    weights: names.weights === null ? null : linear(builder, `${path}.${names.weights}`, heads, hidden, false),
  };
}

import type { OperatorSpec__Output as OperatorSpec } from '../../../proto/generated/conclave/v1/OperatorSpec.ts';
import { type Builder, linear, norm, scaledNorm } from '../checkpoint/parts.ts';
import { withoutBias } from './ffn.ts';

/** What the rows' tokens say in one layer; see TokenInputSpec in model.proto. Tensors of all layers hold those of each side by side. */
export interface TokenInputShape {
  readonly kind: 'token-input';
  /** Tensors of all layers. */
  readonly names: { readonly embedding: string; readonly projection: string; readonly norm: string };
  /** Below the layer. */
  readonly gate: string;
  readonly output: string;
  readonly vocabulary: number;
  readonly width: number;
  /** The layer, and how many there are. */
  readonly index: number;
  readonly layers: number;
  /** What is projected is multiplied by this before its norm. */
  readonly projectionMultiplier: number;
  /** Of the rows of the embedding. */
  readonly embeddingMultiplier: number;
  /** Of the sum of both. */
  readonly multiplier: number;
}

export function buildTokenInput(builder: Builder, layer: string, shape: TokenInputShape, hidden: number): OperatorSpec {
  const { names, width, index, layers, vocabulary, multiplier } = shape;
  const embeddings = builder.tensors.stack(`${names.embedding}.weight`, [vocabulary, layers * width]);
  const projections = builder.tensors.stack(`${names.projection}.weight`, [layers * width, hidden]);
  // A norm of c x is that of x with an epsilon of 1 / c^2 times its own.
  const epsilon = builder.epsilon / shape.projectionMultiplier ** 2;
  const tokenInput = {
    embedding: embeddings.columns(index * width, width),
    embeddingMultiplier: Math.fround(shape.embeddingMultiplier * multiplier),
    projection: withoutBias(projections.matrix(0, index * width, width)),
    norm: scaledNorm(norm({ ...builder, epsilon }, names.norm, width), multiplier),
    gate: linear(builder, `${layer}.${shape.gate}`, width, hidden, false),
    output: linear(builder, `${layer}.${shape.output}`, hidden, width, false),
  };
  return { kind: 'tokenInput', tokenInput, cache: null };
}

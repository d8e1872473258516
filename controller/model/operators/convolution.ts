import type { ConvolutionSpec__Output as ConvolutionSpec } from '../../../proto/generated/conclave/v1/ConvolutionSpec.ts';
import type { TensorSource, TensorStack } from '../checkpoint/parts.ts';

/** Columns of a convolution that a checkpoint stores for several streams together, [columns, 1, taps]. */
export function convolutionOf(tensors: TensorSource, name: string, columns: number, taps: number, biased: boolean) {
  const weights: TensorStack = tensors.stack(`${name}.weight`, [columns, 1, taps]);
  const biases = biased ? tensors.stack(`${name}.bias`, [columns]) : null;
  return (first: number, count: number): ConvolutionSpec => ({
    taps: weights.matrix(0, first, count),
    bias: biases && biases.vector(0, first, count),
  });
}

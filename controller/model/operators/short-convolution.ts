import type { OperatorSpec__Output as OperatorSpec } from '../../../proto/generated/conclave/v1/OperatorSpec.ts';
import { type Builder, linear } from '../checkpoint/parts.ts';
import { convolutionOf } from './convolution.ts';
import { withoutBias } from './ffn.ts';

/** A short convolution between gates; see ShortConvolutionSpec in model.proto. */
export interface ShortConvolutionShape {
  readonly kind: 'short-convolution';
  /** Below the layer. */
  readonly path: string;
  readonly taps: number;
  /** Biases on the projections and on the convolution. */
  readonly bias: boolean;
}

/** `in_proj` holds the rows of the input gate, of the output gate, and of what is convolved. */
export function buildShortConvolution(
  builder: Builder,
  layer: string,
  { path: below, taps, bias }: ShortConvolutionShape,
  hidden: number,
): OperatorSpec {
  const path = `${layer}.${below}`;
  const { tensors } = builder;
  const weights = tensors.stack(`${path}.in_proj.weight`, [3 * hidden, hidden]);
  const biases = bias ? tensors.stack(`${path}.in_proj.bias`, [3 * hidden]) : null;
  const part = (index: number) => ({
    ...withoutBias(weights.matrix(0, index * hidden, hidden)),
    bias: biases && biases.vector(0, index * hidden, hidden),
  });
  const shortConvolution = {
    inputGate: part(0),
    outputGate: part(1),
    value: part(2),
    convolution: convolutionOf(tensors, `${path}.conv`, hidden, taps, bias)(0, hidden),
    output: linear(builder, `${path}.out_proj`, hidden, hidden, bias),
  };
  const states = [{ heads: hidden, elements: taps - 1 }];
  return { kind: 'shortConvolution', shortConvolution, cache: { kind: 'fixed', fixed: { states } } };
}

import type { OperatorSpec__Output as OperatorSpec } from '../../../proto/generated/conclave/v1/OperatorSpec.ts';
import type { SelectiveScanSpec__Output as SelectiveScanSpec } from '../../../proto/generated/conclave/v1/SelectiveScanSpec.ts';
import { type Builder, linear, norm } from '../checkpoint/parts.ts';
import { convolutionOf } from './convolution.ts';
import { withoutBias } from './ffn.ts';

/** The selective state space of Mamba 1, with norms of its steps, writes and reads; see SelectiveScanSpec in model.proto. */
export interface SelectiveScanShape {
  readonly kind: 'selective-scan';
  /** Below the layer. */
  readonly path: string;
  readonly width: number;
  readonly states: number;
  readonly rank: number;
  readonly taps: number;
  readonly convolutionBias: boolean;
  readonly projectionBias: boolean;
}

/** `in_proj` holds the rows of the values and of the gate, `x_proj` those of steps, writes and reads. */
export function buildSelectiveScan(
  builder: Builder,
  layer: string,
  shape: SelectiveScanShape,
  hidden: number,
): OperatorSpec {
  const path = `${layer}.${shape.path}`;
  const { tensors } = builder;
  const { width, states, rank, taps, projectionBias } = shape;
  const both = tensors.stack(`${path}.in_proj.weight`, [2 * width, hidden]);
  const biases = projectionBias ? tensors.stack(`${path}.in_proj.bias`, [2 * width]) : null;
  const input = (first: number) => ({
    ...withoutBias(both.matrix(0, first, width)),
    bias: biases && biases.vector(0, first, width),
  });
  const parameters = tensors.stack(`${path}.x_proj.weight`, [rank + 2 * states, width]);
  const selectiveScan: SelectiveScanSpec = {
    value: input(0),
    gate: input(width),
    convolution: convolutionOf(tensors, `${path}.conv1d`, width, taps, shape.convolutionBias)(0, width),
    stepDown: withoutBias(parameters.matrix(0, 0, rank)),
    write: withoutBias(parameters.matrix(0, rank, states)),
    read: withoutBias(parameters.matrix(0, rank + states, states)),
    stepNorm: norm(builder, `${path}.dt_layernorm`, rank),
    writeNorm: norm(builder, `${path}.b_layernorm`, states),
    readNorm: norm(builder, `${path}.c_layernorm`, states),
    step: linear(builder, `${path}.dt_proj`, width, rank, true),
    decayRate: tensors.matrix(`${path}.A_log`, width, states),
    skip: tensors.vector(`${path}.D`, width),
    output: linear(builder, `${path}.out_proj`, hidden, width, projectionBias),
  };
  const kept = [taps - 1, states].map((elements) => ({ heads: width, elements }));
  return { kind: 'selectiveScan', selectiveScan, cache: { kind: 'fixed', fixed: { states: kept } } };
}

import type { FfnSpec__Output as FfnSpec } from '../../../proto/generated/conclave/v1/FfnSpec.ts';
import type { LinearSpec__Output as LinearSpec } from '../../../proto/generated/conclave/v1/LinearSpec.ts';
import type { MatrixSpec__Output as MatrixSpec } from '../../../proto/generated/conclave/v1/MatrixSpec.ts';
import type { OperatorSpec__Output as OperatorSpec } from '../../../proto/generated/conclave/v1/OperatorSpec.ts';
import { type Builder, linear } from '../checkpoint/parts.ts';

/** Names of a feed-forward network's three matrices, below its path. */
export interface SeparateNames {
  readonly gate: string;
  readonly up: string;
  readonly down: string;
}

/** Names where gate and up are one matrix, gate's rows first. */
export interface FusedNames {
  readonly gateUp: string;
  readonly down: string;
}

export type FfnNames = SeparateNames | FusedNames;

/** A network for every row: a dense layer's, or a shared expert. */
export interface DenseShape {
  readonly kind: 'dense';
  /** Below the layer, such as "mlp". */
  readonly path: string;
  readonly names: FfnNames;
  readonly intermediate: number;
  /** All three matrices have one. */
  readonly biases: boolean;
  /** Multiplies the output. */
  readonly multiplier: number;
  /** Where below the layer the matrix [1, H] is by whose sigmoid the output is multiplied; null: it is not gated. */
  readonly outputGate: string | null;
}

export const projections: SeparateNames = { gate: 'gate_proj', up: 'up_proj', down: 'down_proj' };
export const numbered: SeparateNames = { gate: 'w1', up: 'w3', down: 'w2' };

/** The usual dense feed-forward network at `mlp`. */
export function denseFfn(intermediate: number, biases = false): DenseShape {
  return { ...sharedExpert('mlp', intermediate), biases };
}

/** A network at `path` whose output is added as it is. */
export function sharedExpert(path: string, intermediate: number, names: FfnNames = projections): DenseShape {
  return { kind: 'dense', path, names, intermediate, biases: false, multiplier: 1, outputGate: null };
}

export function buildDense(builder: Builder, layer: string, shape: DenseShape, hidden: number): OperatorSpec {
  const ffn = buildFfn(builder, `${layer}.${shape.path}`, shape, hidden);
  const gate = shape.outputGate;
  const outputGate = gate === null ? null : builder.tensors.matrix(`${layer}.${gate}.weight`, 1, hidden);
  const multiplier = Math.fround(shape.multiplier);
  return { kind: 'dense', dense: { ffn, outputGate, multiplier }, cache: null };
}

/** A network whose matrices lie at `path`: by their names there, or by the usual ones where a checkpoint has these instead. */
export function buildFfn(
  builder: Builder,
  path: string,
  { names, intermediate, biases }: Pick<DenseShape, 'names' | 'intermediate' | 'biases'>,
  hidden: number,
): FfnSpec {
  const { activation, tensors } = builder;
  if ('gateUp' in names && tensors.shapeOf(`${path}.${projections.up}.weight`) !== null) {
    return buildFfn(builder, path, { names: projections, intermediate, biases }, hidden);
  }
  const down = () => linear(builder, `${path}.${names.down}`, hidden, intermediate, biases);
  if ('gate' in names) {
    const gate = linear(builder, `${path}.${names.gate}`, intermediate, hidden, biases);
    const up = linear(builder, `${path}.${names.up}`, intermediate, hidden, biases);
    return { gate, up, down: down(), activation, activationLimit: 0 };
  }
  const both = tensors.stack(`${path}.${names.gateUp}.weight`, [2 * intermediate, hidden]);
  const gate = withoutBias(both.matrix(0, 0, intermediate));
  const up = withoutBias(both.matrix(0, intermediate, intermediate));
  return { gate, up, down: down(), activation, activationLimit: 0 };
}

export function withoutBias(weight: MatrixSpec): LinearSpec {
  return { weight, bias: null, biasStep: 1, biasGroup: 1 };
}

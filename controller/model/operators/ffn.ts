import type { FfnSpec__Output as FfnSpec } from '../../../proto/generated/conclave/v1/FfnSpec.ts';
import type { LinearSpec__Output as LinearSpec } from '../../../proto/generated/conclave/v1/LinearSpec.ts';
import type { MatrixSpec__Output as MatrixSpec } from '../../../proto/generated/conclave/v1/MatrixSpec.ts';
import type { OperatorSpec__Output as OperatorSpec } from '../../../proto/generated/conclave/v1/OperatorSpec.ts';
import { type Builder, linear } from '../checkpoint/parts.ts';

/** What a network does between its matmuls, and what that clamps to; see FfnSpec in model.proto. */
export type ActivationShape = Pick<FfnSpec, 'activation' | 'activationLimit'>;

/** Names of a feed-forward network's three matrices, below its path. */
export interface SeparateNames {
  /** Null: it has no gate. */
  readonly gate: string | null;
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
  /** Null: config.json's. */
  readonly activation: ActivationShape | null;
  /** Multiplies the output. */
  readonly multiplier: number;
  /** Where below the layer the matrix [1, H] is by whose sigmoid the output is multiplied; null: it is not gated. */
  readonly outputGate: string | null;
}

export const projections: SeparateNames = { gate: 'gate_proj', up: 'up_proj', down: 'down_proj' };
/** Of a network that squares what is positive of `up`. */
export const ungated: SeparateNames = { gate: null, up: 'up_proj', down: 'down_proj' };
export const reluSquared: ActivationShape = { activation: 'ACTIVATION_RELU_SQUARED', activationLimit: 0 };
export const numbered: SeparateNames = { gate: 'w1', up: 'w3', down: 'w2' };

/** The usual dense feed-forward network at `mlp`. */
export function denseFfn(intermediate: number, biases = false): DenseShape {
  return { ...sharedExpert('mlp', intermediate), biases };
}

/** A network at `path` whose output is added as it is. */
export function sharedExpert(path: string, intermediate: number, names: FfnNames = projections): DenseShape {
  return { kind: 'dense', path, names, intermediate, biases: false, activation: null, multiplier: 1, outputGate: null };
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
  { names, intermediate, biases, activation }: Pick<DenseShape, 'names' | 'intermediate' | 'biases' | 'activation'>,
  hidden: number,
): FfnSpec {
  const { tensors } = builder;
  const between = activation ?? { activation: builder.activation, activationLimit: 0 };
  if ('gateUp' in names && tensors.shapeOf(`${path}.${projections.up}.weight`) !== null) {
    return buildFfn(builder, path, { names: projections, intermediate, biases, activation }, hidden);
  }
  const down = () => linear(builder, `${path}.${names.down}`, hidden, intermediate, biases);
  if ('gate' in names) {
    const gate = names.gate === null ? null : linear(builder, `${path}.${names.gate}`, intermediate, hidden, biases);
    const up = linear(builder, `${path}.${names.up}`, intermediate, hidden, biases);
    return { gate, up, down: down(), ...between };
  }
  const both = tensors.stack(`${path}.${names.gateUp}.weight`, [2 * intermediate, hidden]);
  const gate = withoutBias(both.matrix(0, 0, intermediate));
  const up = withoutBias(both.matrix(0, intermediate, intermediate));
  return { gate, up, down: down(), ...between };
}

export function withoutBias(weight: MatrixSpec): LinearSpec {
  return { weight, bias: null, biasStep: 1, biasGroup: 1 };
}

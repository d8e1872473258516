import type { FfnSpec__Output as FfnSpec } from '../../../proto/generated/conclave/v1/FfnSpec.ts';
import type { GateGroups__Output as GateGroups } from '../../../proto/generated/conclave/v1/GateGroups.ts';
import type { GateSpec__Output as GateSpec } from '../../../proto/generated/conclave/v1/GateSpec.ts';
import type { LinearSpec__Output as LinearSpec } from '../../../proto/generated/conclave/v1/LinearSpec.ts';
import type { OperatorSpec__Output as OperatorSpec } from '../../../proto/generated/conclave/v1/OperatorSpec.ts';
import { packExperts } from '../../../proto/model/experts.ts';
import { type Builder, linear, plainNorm, type TensorStack } from '../checkpoint/parts.ts';
import { type ActivationShape, buildFfn, type FfnNames, projections, withoutBias } from './ffn.ts';

/** How experts are picked and weighed; see GateSpec in model.proto. */
export interface GateShape {
  /** Of the matrix, below the experts' path. */
  readonly name: string;
  readonly scoring: GateSpec['scoring'];
  /** Whether the weights of the picked experts are divided by their sum. */
  readonly renormalise: boolean;
  /** The least that they are divided by. */
  readonly smallestSum: number;
  readonly multiplier: number;
  /** Where the correction of scores lies, below the experts' path, and how it is stored; null: there is none. */
  readonly correction: { readonly name: string; readonly shape: readonly number[] } | null;
  /** Where below the experts' path the experts of each token are; null: scores pick them. */
  readonly table: string | null;
  /** The matrix has a bias. */
  readonly bias: boolean;
  readonly groups: GateGroups | null;
  /** Of sparsemixer. */
  readonly jitter: number;
  /** Bounds logits; 0: does not. */
  readonly softcap: number;
  /** Where below the experts' path the factors of their weights lie; null: there are none. */
  readonly scales: string | null;
  /** The gate reads the residual stream through a norm of its own, with the weight at `name` and times `multiplier`. */
  readonly norm: { readonly name: string; readonly multiplier: number } | null;
}

/** Routed experts. */
export interface MoeShape {
  readonly kind: 'moe';
  /** Below the layer; empty: the layer's own. */
  readonly path: string;
  readonly gate: GateShape;
  /**
   * Matrices of expert e at `path.experts.e` (or where a checkpoint has them stacked, as of all below), or of all experts
   * stacked at `path`: [out, in], or [in, out] with gate's columns before up's, or with gate's and up's columns in turn.
   * Rows: matrices [I, H] of all experts one behind the other, down's too. Where a checkpoint has experts by number all the
   * same, with the usual names, they are read so.
   */
  readonly storage: 'separate' | 'stacked' | 'transposed' | 'interleaved' | 'rows';
  /** Stacked experts have biases, named as their matrices and `_bias`. */
  readonly biases: boolean;
  /** Of the activation, and what it clamps to; null: config.json's. */
  readonly activation: ActivationShape | null;
  readonly names: FfnNames;
  readonly experts: number;
  readonly topK: number;
  readonly intermediate: number;
  /** Weights multiply what experts read. */
  readonly weightsOnInput: boolean;
  /** Experts behind the others that give what they read. */
  readonly identities: number;
  /** Experts read and give rows of this width, by projections with these names below the path; null: the model's own. */
  readonly projection: { readonly width: number; readonly input: string; readonly output: string } | null;
}

/** A softmax over all experts. */
export function softmaxGate(renormalise: boolean): GateShape {
  return {
    name: 'gate',
    scoring: renormalise ? 'GATE_SCORING_SOFTMAX_TOPK' : 'GATE_SCORING_SOFTMAX_ALL',
    renormalise: false,
    smallestSum: 0,
    multiplier: 1,
    correction: null,
    table: null,
    bias: false,
    groups: null,
    jitter: 0,
    softcap: 0,
    scales: null,
    norm: null,
  };
}

/** Sigmoid scores, corrected while experts are picked. */
export function sigmoidGate(correction: string, experts: number, given: Partial<GateShape> = {}): GateShape {
  return {
    ...softmaxGate(false),
    scoring: 'GATE_SCORING_SIGMOID',
    renormalise: true,
    correction: { name: correction, shape: [experts] },
    ...given,
  };
}

/** The usual experts at `mlp`. */
export const plainMoe = {
  kind: 'moe',
  path: 'mlp',
  storage: 'separate',
  names: projections,
  biases: false,
  activation: null,
  weightsOnInput: false,
  identities: 0,
  projection: null,
} as const;

export function buildMoe(builder: Builder, layer: string, shape: MoeShape, hidden: number): OperatorSpec {
  const path = shape.path === '' ? layer : `${layer}.${shape.path}`;
  const gate = buildGate(builder, path, shape, hidden);
  const { projection, identities: identityExperts, weightsOnInput } = shape;
  const width = projection?.width ?? hidden;
  const experts = packExperts(buildExperts(builder, path, shape, width), (id) => `${path}.experts.${id}.`);
  const input = projection && linear(builder, `${path}.${projection.input}`, width, hidden, false);
  const output = projection && linear(builder, `${path}.${projection.output}`, hidden, width, false);
  return { kind: 'moe', moe: { gate, experts, weightsOnInput, identityExperts, input, output }, cache: null };
}

function buildGate(builder: Builder, path: string, shape: MoeShape, hidden: number): GateSpec {
  const { tensors, vocabulary } = builder;
  const { gate, topK } = shape;
  const experts = shape.experts + shape.identities;
  const { scoring, correction, groups, norm } = gate;
  return {
    weight: tensors.matrix(`${path}.${gate.name}.weight`, experts, hidden),
    bias: gate.bias ? tensors.vector(`${path}.${gate.name}.bias`, experts) : null,
    topK,
    scoring,
    weightMultiplier: Math.fround(gate.multiplier),
    correction: correction && tensors.vector(`${path}.${correction.name}`, experts, correction.shape),
    table: gate.table === null ? null : tensors.ids(`${path}.${gate.table}`, [vocabulary, topK], experts),
    renormalise: gate.renormalise,
    smallestSum: Math.fround(gate.smallestSum),
    groups: groups && groups.count > 1 ? groups : null,
    jitter: Math.fround(gate.jitter),
    softcap: Math.fround(gate.softcap),
    scales: gate.scales === null ? null : tensors.vector(`${path}.${gate.scales}`, experts),
    norm: norm && {
      ...plainNorm(builder.epsilon),
      weight: tensors.vector(`${path}.${norm.name}`, hidden),
      weightMultiplier: Math.fround(norm.multiplier),
    },
  };
}

function buildExperts(builder: Builder, path: string, shape: MoeShape, hidden: number): FfnSpec[] {
  const ids = Array.from({ length: shape.experts }, (_, id) => id);
  const { activation, activationLimit } = shape.activation ?? { activation: builder.activation, activationLimit: 0 };
  if (shape.storage !== 'separate' && builder.tensors.shapeOf(`${path}.experts.0.${projections.up}.weight`) !== null) {
    const separate = { ...shape, names: projections };
    return ids.map((id) => ({
      ...buildFfn(builder, `${path}.experts.${id}`, separate, hidden),
      activation,
      activationLimit,
    }));
  }
  if (shape.storage === 'separate') {
    const stacked = stackedShape(builder, path, shape, hidden);
    if (stacked !== null) return buildExperts(builder, path, stacked, hidden);
    return ids.map((id) => buildFfn(builder, `${path}.experts.${id}`, shape, hidden));
  }
  if (shape.storage === 'rows') return expertRows(builder, path, shape, hidden);
  const stacks = findStacks(builder, path, shape, hidden);
  return ids.map((id) => ({ ...stackedExpert(stacks, id, shape, hidden), activation, activationLimit }));
}

/** How experts that may be separate are stacked in the checkpoint; null: they are not. */
function stackedShape({ tensors }: Builder, path: string, shape: MoeShape, hidden: number): MoeShape | null {
  const names = { gateUp: 'experts.gate_up_proj', down: 'experts.down_proj' };
  const stored = tensors.shapeOf(`${path}.${names.gateUp}`);
  if (stored === null) return null;
  return {
    ...shape,
    names,
    storage: stored[1] === 2 * shape.intermediate && stored[2] === hidden ? 'stacked' : 'transposed',
  };
}

function expertRows({ tensors, activation }: Builder, path: string, shape: MoeShape, hidden: number): FfnSpec[] {
  const { names, experts, intermediate } = shape;
  if (!('gate' in names && names.gate !== null))
    throw new Error(`${path}: experts in rows have matrices of their own for gate and up`);
  const stack = (name: string) =>
    tensors.stack(`${path}.${name}`, [experts * intermediate, hidden], [experts, intermediate, hidden]);
  const [gate, up, down] = [stack(names.gate), stack(names.up), stack(names.down)];
  return Array.from({ length: experts }, (_, id) => ({
    gate: withoutBias(gate.matrix(id, 0, intermediate)),
    up: withoutBias(up.matrix(id, 0, intermediate)),
    down: withoutBias(down.transposed(id, 0, hidden, 1)),
    activation,
    activationLimit: 0,
  }));
}

/** What holds all experts of a layer. */
interface Stacks {
  readonly both: TensorStack;
  readonly down: TensorStack;
  /** Null: no biases. */
  readonly biases: { readonly both: TensorStack; readonly down: TensorStack } | null;
}

function findStacks({ tensors }: Builder, path: string, shape: MoeShape, hidden: number): Stacks {
  const { names, experts, intermediate, storage } = shape;
  if (!('gateUp' in names)) throw new Error(`${path}: stacked experts have gate and up in one matrix`);
  const [both, down] = [`${path}.${names.gateUp}`, `${path}.${names.down}`];
  const [rows, cols] = [2 * intermediate, hidden];
  const biases = shape.biases && {
    both: tensors.stack(`${both}_bias`, [experts, rows]),
    down: tensors.stack(`${down}_bias`, [experts, hidden]),
  };
  return {
    both: tensors.stack(both, storage === 'stacked' ? [experts, rows, cols] : [experts, cols, rows]),
    down: tensors.stack(
      down,
      storage === 'stacked' ? [experts, hidden, intermediate] : [experts, intermediate, hidden],
    ),
    biases: biases || null,
  };
}

function stackedExpert(
  { both, down, biases }: Stacks,
  id: number,
  { storage, intermediate }: MoeShape,
  hidden: number,
) {
  const biasStep = storage === 'interleaved' ? 2 : 1;
  const upStart = storage === 'interleaved' ? 1 : intermediate;
  const input = (first: number): LinearSpec => ({
    weight:
      storage === 'stacked' ? both.matrix(id, first, intermediate) : both.transposed(id, first, intermediate, biasStep),
    bias: biases && biases.both.vector(id, first, biasStep === 1 ? intermediate : null),
    biasStep,
    biasGroup: 1,
  });
  const output: LinearSpec = {
    weight: storage === 'stacked' ? down.matrix(id, 0, hidden) : down.transposed(id, 0, hidden, 1),
    bias: biases && biases.down.vector(id, 0, hidden),
    biasStep: 1,
    biasGroup: 1,
  };
  return { gate: input(0), up: input(upStart), down: output };
}

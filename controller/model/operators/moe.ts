import type { FfnSpec__Output as FfnSpec } from '../../../proto/generated/conclave/v1/FfnSpec.ts';
import type { GateGroups__Output as GateGroups } from '../../../proto/generated/conclave/v1/GateGroups.ts';
import type { GateSpec__Output as GateSpec } from '../../../proto/generated/conclave/v1/GateSpec.ts';
import type { OperatorSpec__Output as OperatorSpec } from '../../../proto/generated/conclave/v1/OperatorSpec.ts';
import { packExperts } from '../../../proto/model/experts.ts';
import type { Builder } from '../checkpoint/parts.ts';
import { buildFfn, type FfnNames, projections, withoutBias } from './ffn.ts';

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
  readonly groups: GateGroups | null;
  /** Of sparsemixer. */
  readonly jitter: number;
}

/** Routed experts. */
export interface MoeShape {
  readonly kind: 'moe';
  /** Below the layer. */
  readonly path: string;
  readonly gate: GateShape;
  /** Matrices of expert e at `path.experts.e`, or of all experts stacked at `path`. */
  readonly storage: 'separate' | 'stacked';
  readonly names: FfnNames;
  readonly experts: number;
  readonly topK: number;
  readonly intermediate: number;
  /** Weights multiply what experts read. */
  readonly weightsOnInput: boolean;
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
    groups: null,
    jitter: 0,
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
  weightsOnInput: false,
} as const;

export function buildMoe(builder: Builder, layer: string, shape: MoeShape, hidden: number): OperatorSpec {
  const path = `${layer}.${shape.path}`;
  const experts = packExperts(buildExperts(builder, path, shape, hidden), (id) => `${path}.experts.${id}.`);
  const gate = buildGate(builder, path, shape, hidden);
  return { kind: 'moe', moe: { gate, experts, weightsOnInput: shape.weightsOnInput }, cache: null };
}

function buildGate({ tensors }: Builder, path: string, { gate, experts, topK }: MoeShape, hidden: number): GateSpec {
  const { scoring, correction, groups } = gate;
  return {
    weight: tensors.matrix(`${path}.${gate.name}.weight`, experts, hidden),
    bias: null,
    topK,
    scoring,
    weightMultiplier: Math.fround(gate.multiplier),
    correction: correction && tensors.vector(`${path}.${correction.name}`, experts, correction.shape),
    renormalise: gate.renormalise,
    smallestSum: Math.fround(gate.smallestSum),
    groups: groups && groups.count > 1 ? groups : null,
    jitter: Math.fround(gate.jitter),
  };
}

function buildExperts(builder: Builder, path: string, shape: MoeShape, hidden: number): FfnSpec[] {
  const { names, experts, intermediate } = shape;
  const ids = Array.from({ length: experts }, (_, id) => id);
  if (shape.storage === 'separate') return ids.map((id) => buildFfn(builder, `${path}.experts.${id}`, shape, hidden));
  if (!('gateUp' in names)) throw new Error(`${path}: stacked experts have gate and up in one matrix`);
  const both = builder.tensors.stack(`${path}.${names.gateUp}`, [experts, 2 * intermediate, hidden]);
  const down = builder.tensors.stack(`${path}.${names.down}`, [experts, hidden, intermediate]);
  return ids.map((id) => ({
    gate: withoutBias(both.matrix(id, 0, intermediate)),
    up: withoutBias(both.matrix(id, intermediate, intermediate)),
    down: withoutBias(down.matrix(id, 0, hidden)),
    activation: builder.activation,
    activationLimit: 0,
  }));
}

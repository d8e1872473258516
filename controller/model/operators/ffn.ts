import type { FfnSpec__Output as FfnSpec } from '../../../proto/generated/conclave/v1/FfnSpec.ts';
import type { OperatorSpec__Output as OperatorSpec } from '../../../proto/generated/conclave/v1/OperatorSpec.ts';
import { packExperts } from '../../../proto/model/experts.ts';
import { type Builder, linear } from '../checkpoint/parts.ts';

/** Names of a feed-forward network's three matrices, below its path. */
export interface FfnNames {
  readonly gate: string;
  readonly up: string;
  readonly down: string;
}

/** A network for every row: a dense layer's, or a shared expert. */
export interface DenseShape {
  readonly kind: 'dense';
  /** Below the layer, such as "mlp". */
  readonly path: string;
  readonly names: FfnNames;
  readonly intermediate: number;
  /** Where below the layer the matrix [1, H] is by whose sigmoid the output is multiplied; null: it is not gated. */
  readonly outputGate: string | null;
}

/** Routed experts. */
export interface MoeShape {
  readonly kind: 'moe';
  /** Below the layer; the gate is `path.gate`, expert e is `path.experts.e`. */
  readonly path: string;
  readonly names: FfnNames;
  readonly experts: number;
  readonly topK: number;
  readonly intermediate: number;
  /** Whether the weights of the picked experts are divided by their sum. */
  readonly renormalise: boolean;
}

export const projections: FfnNames = { gate: 'gate_proj', up: 'up_proj', down: 'down_proj' };

/** The usual dense feed-forward network at `mlp`. */
export function denseFfn(intermediate: number): DenseShape {
  return { kind: 'dense', path: 'mlp', names: projections, intermediate, outputGate: null };
}

export function buildDense(builder: Builder, layer: string, shape: DenseShape, hidden: number): OperatorSpec {
  const ffn = buildFfn(builder, `${layer}.${shape.path}`, shape.names, shape.intermediate, hidden);
  const gate = shape.outputGate;
  const outputGate = gate === null ? null : builder.tensors.matrix(`${layer}.${gate}.weight`, 1, hidden);
  return { kind: 'dense', dense: { ffn, outputGate }, cache: null };
}

export function buildMoe(builder: Builder, layer: string, shape: MoeShape, hidden: number): OperatorSpec {
  const path = `${layer}.${shape.path}`;
  const prefix = (id: string) => `${path}.experts.${id}.`;
  const gate = {
    weight: builder.tensors.matrix(`${path}.gate.weight`, shape.experts, hidden),
    topK: shape.topK,
    scoring: shape.renormalise ? 'GATE_SCORING_SOFTMAX_TOPK' : 'GATE_SCORING_SOFTMAX_ALL',
    weightMultiplier: 1,
  } as const;
  const experts = Array.from({ length: shape.experts }, (_, id) =>
    buildFfn(builder, `${path}.experts.${id}`, shape.names, shape.intermediate, hidden),
  );
  return { kind: 'moe', moe: { gate, experts: packExperts(experts, prefix) }, cache: null };
}

function buildFfn(builder: Builder, path: string, names: FfnNames, intermediate: number, hidden: number): FfnSpec {
  return {
    gate: linear(builder, `${path}.${names.gate}`, intermediate, hidden, false),
    up: linear(builder, `${path}.${names.up}`, intermediate, hidden, false),
    down: linear(builder, `${path}.${names.down}`, hidden, intermediate, false),
    activation: 'ACTIVATION_SILU',
  };
}

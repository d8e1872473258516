/** Linear attention as checkpoints of its kinds store it. Floats are rounded to f32, as the wire rounds them. */
import type { LinearAttentionSpec__Output as LinearAttentionSpec } from '../../../proto/generated/conclave/v1/LinearAttentionSpec.ts';
import type { LinearSpec__Output as LinearSpec } from '../../../proto/generated/conclave/v1/LinearSpec.ts';
import type { OperatorSpec__Output as OperatorSpec } from '../../../proto/generated/conclave/v1/OperatorSpec.ts';
import { type Builder, linear, plainNorm, type TensorSource } from '../checkpoint/parts.ts';
import { unbounded } from '../config/linear-attention.ts';
import { convolutionOf } from './convolution.ts';
import { withoutBias } from './ffn.ts';
import { type KdaShape, kda } from './kda.ts';

/** Its heads, and the rows that each convolution sees. */
export interface Heads {
  readonly keyHeads: number;
  readonly valueHeads: number;
  readonly keyDim: number;
  readonly valueDim: number;
  readonly taps: number;
}

/** The gated delta rule. */
export interface DeltaNetShape extends Heads {
  readonly kind: 'delta-net';
  /** Below the layer. */
  readonly path: string;
  /** Two input projections whose rows lie by key head, instead of one for each of qkv, z, b and a. */
  readonly byKeyHead: boolean;
}

/** The selective state space of Mamba 2: keys are its B, queries its C, `keyHeads` its groups. */
export interface Mamba2Shape extends Heads {
  readonly kind: 'mamba2';
  /** Below the layer. */
  readonly path: string;
  readonly convolutionBias: boolean;
  readonly projectionBias: boolean;
  /** Least and greatest step. */
  readonly steps: readonly [number, number];
}

export type LinearAttentionShape = DeltaNetShape | Mamba2Shape | KdaShape;

export function buildLinearAttention(
  builder: Builder,
  layer: string,
  shape: LinearAttentionShape,
  hidden: number,
): OperatorSpec {
  const path = `${layer}.${shape.path}`;
  const spec = specOf(builder, path, shape, hidden);
  const { keyHeads: heads, keyDim } = shape;
  const values = (shape.valueHeads / heads) * shape.valueDim;
  const kept = shape.taps - 1;
  const states = [kept * keyDim, kept * keyDim, kept * values, keyDim * values].map((elements) => ({
    heads,
    elements,
  }));
  return { kind: 'linearAttention', linearAttention: spec, cache: { kind: 'fixed', fixed: { states } } };
}

function specOf(builder: Builder, path: string, shape: LinearAttentionShape, hidden: number): LinearAttentionSpec {
  switch (shape.kind) {
    case 'delta-net':
      return deltaNet(builder, path, shape, hidden);
    case 'mamba2':
      return mamba2(builder, path, shape, hidden);
    case 'kda':
      return kda(builder, path, shape, hidden);
  }
}

function deltaNet(builder: Builder, path: string, shape: DeltaNetShape, hidden: number): LinearAttentionSpec {
  const { tensors } = builder;
  const { keyHeads, valueHeads, keyDim, valueDim, taps } = shape;
  const [keys, values] = [keyHeads * keyDim, valueHeads * valueDim];
  const convolution = convolutionOf(tensors, `${path}.conv1d`, 2 * keys + values, taps, false);
  const inputs = shape.byKeyHead
    ? inputsByKeyHead(tensors, path, shape, hidden)
    : separateInputs(builder, path, shape, hidden);
  return {
    keyHeads,
    valueHeads,
    keyDim,
    valueDim,
    ...whole,
    ...inputs,
    qConvolution: convolution(0, keys),
    kConvolution: convolution(keys, keys),
    vConvolution: convolution(2 * keys, values),
    normalise: true,
    scale: Math.fround(keyDim ** -0.5),
    delta: true,
    writeGate: 'WRITE_GATE_SIGMOID',
    stepBias: tensors.vector(`${path}.dt_bias`, valueHeads),
    decayRate: tensors.vector(`${path}.A_log`, valueHeads),
    stepMin: 0,
    stepMax: unbounded,
    skip: null,
    normAfterGate: false,
    norm: { ...plainNorm(builder.epsilon), weight: tensors.vector(`${path}.norm.weight`, valueDim) },
    normHeads: 1,
    output: linear(builder, `${path}.out_proj`, hidden, values, false),
  };
}

type Inputs = Pick<LinearAttentionSpec, 'q' | 'k' | 'v' | 'gate' | 'write' | 'decay'>;

/** What only some kinds have. */
const whole = {
  decayDown: null,
  decayBound: 0,
  gateDown: null,
  gateFunction: 'GATE_FUNCTION_SILU',
} as const;

/** `in_proj_qkvz` and `in_proj_ba`: the rows of each key head together, and with them those of its value heads. */
function inputsByKeyHead(tensors: TensorSource, path: string, shape: DeltaNetShape, hidden: number): Inputs {
  const { keyHeads, valueHeads, keyDim, valueDim } = shape;
  const sharing = valueHeads / keyHeads;
  const values = sharing * valueDim;
  const step = 2 * keyDim + 2 * values;
  const mixed = tensors.stack(`${path}.in_proj_qkvz.weight`, [keyHeads * step, hidden]);
  const steps = tensors.stack(`${path}.in_proj_ba.weight`, [2 * valueHeads, hidden]);
  const part = (first: number, group: number): LinearSpec =>
    withoutBias(mixed.groups(first, keyHeads * group, group, step));
  return {
    q: part(0, keyDim),
    k: part(keyDim, keyDim),
    v: part(2 * keyDim, values),
    gate: part(2 * keyDim + values, values),
    write: withoutBias(steps.groups(0, valueHeads, sharing, 2 * sharing)),
    decay: withoutBias(steps.groups(sharing, valueHeads, sharing, 2 * sharing)),
  };
}

function separateInputs(builder: Builder, path: string, shape: DeltaNetShape, hidden: number): Inputs {
  const { valueHeads } = shape;
  const keys = shape.keyHeads * shape.keyDim;
  const values = valueHeads * shape.valueDim;
  const mixed = builder.tensors.stack(`${path}.in_proj_qkv.weight`, [2 * keys + values, hidden]);
  return {
    q: withoutBias(mixed.matrix(0, 0, keys)),
    k: withoutBias(mixed.matrix(0, keys, keys)),
    v: withoutBias(mixed.matrix(0, 2 * keys, values)),
    gate: linear(builder, `${path}.in_proj_z`, values, hidden, false),
    write: linear(builder, `${path}.in_proj_b`, valueHeads, hidden, false),
    decay: linear(builder, `${path}.in_proj_a`, valueHeads, hidden, false),
  };
}

/** `in_proj` holds the rows of the gate, x (the values), B, C, and the steps, in this order. */
function mamba2(builder: Builder, path: string, shape: Mamba2Shape, hidden: number): LinearAttentionSpec {
  const { tensors } = builder;
  const { keyHeads, valueHeads, keyDim, valueDim, taps, projectionBias, convolutionBias } = shape;
  const [keys, values] = [keyHeads * keyDim, valueHeads * valueDim];
  const all = 2 * values + 2 * keys + valueHeads;
  const weights = tensors.stack(`${path}.in_proj.weight`, [all, hidden]);
  const biases = projectionBias ? tensors.stack(`${path}.in_proj.bias`, [all]) : null;
  const part = (first: number, rows: number): LinearSpec => ({
    ...withoutBias(weights.matrix(0, first, rows)),
    bias: biases && biases.vector(0, first, rows),
  });
  const convolution = convolutionOf(tensors, `${path}.conv1d`, values + 2 * keys, taps, convolutionBias);
  return {
    keyHeads,
    valueHeads,
    keyDim,
    valueDim,
    ...whole,
    gate: part(0, values),
    v: part(values, values),
    k: part(2 * values, keys),
    q: part(2 * values + keys, keys),
    write: part(2 * values + 2 * keys, valueHeads),
    decay: null,
    vConvolution: convolution(0, values),
    kConvolution: convolution(values, keys),
    qConvolution: convolution(values + keys, keys),
    normalise: false,
    scale: 1,
    delta: false,
    writeGate: 'WRITE_GATE_SOFTPLUS',
    stepBias: tensors.vector(`${path}.dt_bias`, valueHeads),
    decayRate: tensors.vector(`${path}.A_log`, valueHeads),
    stepMin: Math.fround(shape.steps[0]),
    stepMax: Math.fround(Math.min(shape.steps[1], unbounded)),
    skip: tensors.vector(`${path}.D`, valueHeads),
    normAfterGate: true,
    norm: { ...plainNorm(builder.epsilon), weight: tensors.vector(`${path}.norm.weight`, values) },
    normHeads: valueHeads / keyHeads,
    output: linear(builder, `${path}.out_proj`, hidden, values, projectionBias),
  };
}

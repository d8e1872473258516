import type { ConvolutionSpec__Output as ConvolutionSpec } from '../../../proto/generated/conclave/v1/ConvolutionSpec.ts';
import type { LinearAttentionSpec__Output as LinearAttentionSpec } from '../../../proto/generated/conclave/v1/LinearAttentionSpec.ts';
import { type Builder, linear, plainNorm } from '../checkpoint/parts.ts';
import { unbounded } from '../config/linear-attention.ts';
import { convolutionOf } from './convolution.ts';

/** The delta rule with a decay for each element of a key; as many value heads as key heads. */
export interface KdaShape {
  readonly kind: 'kda';
  /** Below the layer. */
  readonly path: string;
  readonly keyHeads: number;
  readonly valueHeads: number;
  readonly keyDim: number;
  readonly valueDim: number;
  readonly taps: number;
  /** Decays and gates are products of two matrices, `f_a_proj` and `f_b_proj`, `g_a_proj` and `g_b_proj`. */
  readonly lowRank: boolean;
  /** Least logarithm of a decay, which a sigmoid approaches; 0: none. */
  readonly decayBound: number;
  readonly outputName: string;
  /** How A_log is stored. */
  readonly rateShape: readonly number[];
}

export function kda(builder: Builder, path: string, shape: KdaShape, hidden: number): LinearAttentionSpec {
  const { tensors } = builder;
  const { keyHeads: heads, keyDim, valueDim, lowRank, taps } = shape;
  const width = heads * keyDim;
  const projection = (name: string, rows = width, cols = hidden) =>
    linear(builder, `${path}.${name}`, rows, cols, false);
  const convolution = (name: string): ConvolutionSpec =>
    convolutionOf(tensors, `${path}.${name}_conv1d`, width, taps, false)(0, width);
  const reduced = (name: string) =>
    lowRank
      ? [projection(`${name}_a_proj`, keyDim), projection(`${name}_b_proj`, width, keyDim)]
      : [null, projection(`${name}_proj`)];
  const [decayDown = null, decay = null] = reduced('f');
  const [gateDown = null, gate = null] = reduced('g');
  return {
    keyHeads: heads,
    valueHeads: heads,
    keyDim,
    valueDim,
    q: projection('q_proj'),
    k: projection('k_proj'),
    v: projection('v_proj'),
    qConvolution: convolution('q'),
    kConvolution: convolution('k'),
    vConvolution: convolution('v'),
    normalise: true,
    scale: Math.fround(keyDim ** -0.5),
    delta: true,
    write: projection('b_proj', heads),
    writeGate: 'WRITE_GATE_SIGMOID',
    decayDown,
    decay,
    decayBound: Math.fround(shape.decayBound),
    stepBias: tensors.vector(`${path}.dt_bias`, width),
    decayRate: tensors.vector(`${path}.A_log`, heads, shape.rateShape),
    stepMin: 0,
    stepMax: unbounded,
    skip: null,
    gateDown,
    gate,
    gateFunction: 'GATE_FUNCTION_SIGMOID',
    normAfterGate: false,
    norm: { ...plainNorm(builder.epsilon), weight: tensors.vector(`${path}.o_norm.weight`, valueDim) },
    normHeads: 1,
    output: projection(shape.outputName, hidden, width),
  };
}

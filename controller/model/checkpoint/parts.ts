/** The parts that operators are made of. Floats are rounded to f32, as the wire rounds them. */
import type { Activation__Output as Activation } from '../../../proto/generated/conclave/v1/Activation.ts';
import type { LinearSpec__Output as LinearSpec } from '../../../proto/generated/conclave/v1/LinearSpec.ts';
import type { MatrixSpec__Output as MatrixSpec } from '../../../proto/generated/conclave/v1/MatrixSpec.ts';
import type { NormSpec__Output as NormSpec } from '../../../proto/generated/conclave/v1/NormSpec.ts';
import type { TensorRef__Output as TensorRef } from '../../../proto/generated/conclave/v1/TensorRef.ts';
import { checkpointBytes } from '../../../proto/model/tensors.ts';

/** Where a model looks for its tensors. */
export interface TensorSource {
  /** Where and how a matrix is stored. */
  matrix(name: string, rows: number, cols: number): MatrixSpec;
  /** Where a vector lies; `shape` is how it is stored, where that has more than one dimension. */
  vector(name: string, length: number, shape?: readonly number[]): TensorRef;
  /** Where ids below `count` lie. */
  ids(name: string, shape: readonly [number, number], count: number): TensorRef;
  /** How a tensor is stored; null where it is not, or nothing is. */
  shapeOf(name: string): readonly number[] | null;
  /** Where a stack of matrices `as` [count, rows, cols] lies in one tensor, which may be stored by another shape. */
  stack(name: string, shape: readonly number[], as?: readonly number[]): TensorStack;
}

/** Matrices that a checkpoint stores in one tensor. */
export interface TensorStack {
  /** `rows` rows of matrix `index` from `firstRow` on. */
  matrix(index: number, firstRow: number, rows: number): MatrixSpec;
  /** The same of the transpose of matrix `index`, every `step`-th row. */
  transposed(index: number, firstRow: number, rows: number, step: number): MatrixSpec;
  /** `rows` rows of the only matrix: groups of `group` that lie together, one begins every `step` rows from `firstRow` on. */
  groups(firstRow: number, rows: number, group: number, step: number): MatrixSpec;
  /** `cols` columns of the only matrix, from `firstCol` on. */
  columns(firstCol: number, cols: number): MatrixSpec;
  /** `length` elements, or all, of vector `index` from its element `first` on, of a tensor [count, elements]. */
  vector(index: number, first: number, length: number | null): TensorRef;
}

/** The matrices [rows, cols] that lie one behind the other in `tensor` [..., rows, cols]. */
export function stackOf(tensor: TensorRef): TensorStack {
  const [stored = 0, cols = 0] = tensor.shape.slice(-2);
  const at = (elements: number, shape: number[]): TensorRef => {
    const before = checkpointBytes({ ...tensor, shape: [elements] });
    return { ...tensor, offset: tensor.offset + before, shape };
  };
  return {
    matrix: (index, firstRow, rows) => plainMatrix(rows, cols, at((index * stored + firstRow) * cols, [rows, cols])),
    transposed: (index, firstRow, rows, rowStep) => ({
      ...plainMatrix(rows, stored, at(index * stored * cols, [stored, cols])),
      region: { firstRow, rowStep, firstCol: 0, transposed: true, rowGroup: 1 },
    }),
    groups: (firstRow, rows, rowGroup, rowStep) => ({
      ...plainMatrix(rows, cols, tensor),
      region: { firstRow, rowStep, firstCol: 0, transposed: false, rowGroup },
    }),
    columns: (firstCol, width) => ({
      ...plainMatrix(stored, width, { ...tensor, shape: [stored, cols] }),
      region: { firstRow: 0, rowStep: 1, firstCol, transposed: false, rowGroup: 1 },
    }),
    vector: (index, first, length) => at(index * cols + first, [length ?? cols - first]),
  };
}

/** How a family's norms work. */
export interface NormStyle {
  readonly kind: 'rms' | 'layer';
  /** Added to weights: 1 where they are stored around 0. */
  readonly weightOffset: number;
  readonly bias: boolean;
}

export const rmsNorm: NormStyle = { kind: 'rms', weightOffset: 0, bias: false };

/** What building any part needs. */
export interface Builder {
  readonly tensors: TensorSource;
  /** Of every norm. */
  readonly epsilon: number;
  readonly normStyle: NormStyle;
  readonly activation: Activation;
  /** Tokens. */
  readonly vocabulary: number;
}

const normKinds = { rms: 'NORM_KIND_RMS', layer: 'NORM_KIND_LAYER' } as const;

/** The same norm, times a factor. */
export function scaledNorm(given: NormSpec, factor: number): NormSpec {
  return { ...given, weightMultiplier: Math.fround(given.weightMultiplier * factor) };
}

/** A norm in the family's style; `shape` is how its weight is stored, where that has more than one dimension. */
export function norm(builder: Builder, name: string, width: number, shape?: readonly number[]): NormSpec {
  const { tensors, epsilon, normStyle } = builder;
  return {
    weight: tensors.vector(`${name}.weight`, width, shape),
    epsilon: Math.fround(epsilon),
    kind: normKinds[normStyle.kind],
    weightOffset: normStyle.weightOffset,
    weightMultiplier: 1,
    bias: normStyle.bias ? tensors.vector(`${name}.bias`, width, shape) : null,
  };
}

/** A norm with weights around 1, whatever the family's other norms have; its weight is to be added. */
export function plainNorm(epsilon: number): Omit<NormSpec, 'weight'> {
  return {
    epsilon: Math.fround(epsilon),
    kind: 'NORM_KIND_RMS',
    weightOffset: 0,
    weightMultiplier: 1,
    bias: null,
  };
}

/** A norm that only divides. */
export function bareNorm({ epsilon }: Builder): NormSpec {
  return { ...plainNorm(epsilon), weight: null };
}

export function linear({ tensors }: Builder, name: string, out: number, width: number, bias: boolean): LinearSpec {
  return {
    weight: tensors.matrix(`${name}.weight`, out, width),
    bias: bias ? tensors.vector(`${name}.bias`, out) : null,
    biasStep: 1,
    biasGroup: 1,
  };
}

/** A matrix whose elements are stored one by one. */
export function plainMatrix(rows: number, cols: number, data: TensorRef): MatrixSpec {
  return { rows, cols, encoding: 'MATRIX_ENCODING_PLAIN', data, ...nothingBeside };
}

/** What a matrix has beside its data where it has nothing. */
export const nothingBeside = {
  scales: null,
  zeros: null,
  groupIndex: null,
  globalScale: null,
  region: null,
  codes: null,
} as const;

/** The same of matrices that are stored as codes, whose rows are outputs however the numbers would lie. */
export function stackOfCodes(matrices: readonly MatrixSpec[], vectors: TensorStack['vector']): TensorStack {
  const part = (index: number, firstRow: number, rows: number, rowStep: number, rowGroup = 1): MatrixSpec => {
    const whole = matrices[index];
    if (whole === undefined) throw new RangeError(`expected a matrix below ${matrices.length}, got ${index}`);
    if (rows === whole.rows) return whole;
    return { ...whole, rows, region: { firstRow, rowStep, firstCol: 0, transposed: false, rowGroup } };
  };
  return {
    matrix: (index, firstRow, rows) => part(index, firstRow, rows, 1),
    transposed: part,
    groups: (firstRow, rows, group, step) => part(0, firstRow, rows, step, group),
    columns: (firstCol, cols) => {
      const whole = part(0, 0, matrices[0]?.rows ?? 0, 1);
      return { ...whole, cols, region: { firstRow: 0, rowStep: 1, firstCol, transposed: false, rowGroup: 1 } };
    },
    vector: vectors,
  };
}

/** The parts that operators are made of. Floats are rounded to f32, as the wire rounds them. */
import type { LinearSpec__Output as LinearSpec } from '../../../proto/generated/conclave/v1/LinearSpec.ts';
import type { MatrixSpec__Output as MatrixSpec } from '../../../proto/generated/conclave/v1/MatrixSpec.ts';
import type { NormSpec__Output as NormSpec } from '../../../proto/generated/conclave/v1/NormSpec.ts';
import type { TensorRef__Output as TensorRef } from '../../../proto/generated/conclave/v1/TensorRef.ts';

/** Where a model looks for its tensors. */
export interface TensorSource {
  /** Where and how a matrix is stored. */
  matrix(name: string, rows: number, cols: number): MatrixSpec;
  /** Where a vector lies. */
  vector(name: string, length: number): TensorRef;
}

/** What building any part needs. */
export interface Builder {
  readonly tensors: TensorSource;
  /** Of every norm. */
  readonly epsilon: number;
}

export function norm({ tensors, epsilon }: Builder, name: string, width: number): NormSpec {
  return { weight: tensors.vector(`${name}.weight`, width), epsilon: Math.fround(epsilon) };
}

export function linear({ tensors }: Builder, name: string, out: number, width: number, bias: boolean): LinearSpec {
  return {
    weight: tensors.matrix(`${name}.weight`, out, width),
    bias: bias ? tensors.vector(`${name}.bias`, out) : null,
  };
}

/** A matrix whose elements are stored one by one. */
export function plainMatrix(rows: number, cols: number, data: TensorRef): MatrixSpec {
  const none = { scales: null, zeros: null, groupIndex: null, globalScale: null, region: null };
  return { rows, cols, encoding: 'MATRIX_ENCODING_PLAIN', data, ...none };
}

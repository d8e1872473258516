/** Matrices of codes, from the tensors that a format names. */
import type { MatrixSpec__Output as MatrixSpec } from '../../../proto/generated/conclave/v1/MatrixSpec.ts';
import type { TensorRef__Output as TensorRef } from '../../../proto/generated/conclave/v1/TensorRef.ts';
import { nothingBeside } from '../checkpoint/parts.ts';
import type { TensorFinder } from '../checkpoint/stored-format.ts';

export const floatTypes = ['F32', 'F16', 'BF16'] as const;

type Parts = Partial<Pick<MatrixSpec, 'scales' | 'zeros' | 'groupIndex' | 'globalScale'>>;
type Codes = NonNullable<MatrixSpec['codes']>;

/** A matrix [rows, cols] of codes: unless given, each block is a row, and there are no zeros. */
export function codedMatrix(
  encoding: MatrixSpec['encoding'],
  [rows, cols]: readonly [number, number],
  data: TensorRef,
  parts: Parts,
  codes: Partial<Codes>,
): MatrixSpec {
  return {
    ...nothingBeside,
    ...parts,
    rows,
    cols,
    encoding,
    data,
    codes: {
      rows,
      bits: 8,
      blockRows: 1,
      blockCols: cols,
      zeroOffset: 0,
      divides: false,
      blockType: 'BLOCK_TYPE_UNSPECIFIED',
      ...codes,
    },
  };
}

/** A scale as a matrix of one element, or of one in each row: checkpoints leave out dimensions of length 1. */
export function scalesOf(
  tensors: TensorFinder,
  name: string,
  types: readonly string[],
  [rows, cols]: readonly [number, number],
): TensorRef {
  const shape = tensors.shapeOf(name);
  const fits = shape !== null && shape.reduce((product, length) => product * length, 1) === rows * cols;
  const flat = fits && shape.length < 2 && (rows === 1 || cols === 1);
  return { ...tensors.take(name, types, flat ? shape : [rows, cols]), shape: [rows, cols] };
}

/** One number for a whole matrix. */
export function globalScale(tensors: TensorFinder, name: string): TensorRef {
  const shape = tensors.shapeOf(name);
  return { ...tensors.take(name, ['F32'], shape?.length === 0 ? [] : [1]), shape: [1] };
}

/** How many blocks of `block` elements there are in `length`. */
export function blocksOf(length: number, block: number): number {
  return Math.ceil(length / block);
}

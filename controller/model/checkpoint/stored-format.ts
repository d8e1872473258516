import type { MatrixSpec__Output as MatrixSpec } from '../../../proto/generated/conclave/v1/MatrixSpec.ts';
import type { TensorRef__Output as TensorRef } from '../../../proto/generated/conclave/v1/TensorRef.ts';

/** What a format sees of a checkpoint: tensors that it takes for a matrix. */
export interface TensorFinder {
  /** Shape of a tensor; null when there is none of the name. */
  shapeOf(name: string): readonly number[] | null;
  /** Element type of a tensor, as its file calls it; null when there is none of the name. */
  typeOf(name: string): string | null;
  /** A tensor, which must have one of the element types and the shape. */
  take(name: string, types: readonly string[], shape: readonly number[]): TensorRef;
  /** A tensor that is of no use here: scales of activations, shapes. */
  skip(name: string): void;
  report(problem: string): void;
}

/** How a checkpoint stores matrices otherwise than element by element. */
export interface StoredFormat {
  /** The matrix of `module` [rows, cols], where it is stored so; null: it is not. */
  matrix(tensors: TensorFinder, module: string, rows: number, cols: number): MatrixSpec | null;
  /** Matrices [count, rows, cols] in one tensor, `rows` outputs each; null: they are not stored so. */
  stack(tensors: TensorFinder, name: string, shape: readonly [number, number, number]): readonly MatrixSpec[] | null;
}

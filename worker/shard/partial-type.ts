import type { PartialType } from '../../native/native.ts';

/** How partial sums are encoded on the wire: the DataType of each type, and the bytes of an element. */
export const partialTypes = {
  i24: { dtype: 'DATA_TYPE_I24', bytes: 3 },
  i32: { dtype: 'DATA_TYPE_I32', bytes: 4 },
  f64: { dtype: 'DATA_TYPE_F64', bytes: 8 },
} as const satisfies Record<PartialType, { dtype: string; bytes: number }>;

/** The type that a DataType names, or undefined when partial sums have no such encoding. */
export function partialTypeOf(dtype: string): PartialType | undefined {
  if (dtype === 'DATA_TYPE_I24') return 'i24';
  if (dtype === 'DATA_TYPE_I32') return 'i32';
  return dtype === 'DATA_TYPE_F64' ? 'f64' : undefined;
}

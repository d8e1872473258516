import { z } from 'zod';
import type { MatrixSpec__Output as MatrixSpec } from '../../../proto/generated/conclave/v1/MatrixSpec.ts';
import type { TensorRef__Output as TensorRef } from '../../../proto/generated/conclave/v1/TensorRef.ts';
import type { StoredFormat } from '../checkpoint/stored-format.ts';
import { blocksOf, codedMatrix } from './matrices.ts';
import { defineMethod } from './method.ts';

/** Columns of a block. */
const block = 32;

/** Floats of 4 bits in blocks of 32 with a power of two: all experts of a layer in one tensor, rows are outputs. */
export const mxfp4 = defineMethod(
  'mxfp4',
  z.object({ dequantize: z.boolean().nullish(), swizzle: z.literal(false).nullish() }),
  (): StoredFormat => ({
    matrix: () => null,
    stack: (tensors, name, [count, cols, rows]) => {
      const [blocks, scales] = [`${name}_blocks`, `${name}_scales`];
      if (tensors.shapeOf(blocks) === null) return null;
      const groups = blocksOf(cols, block);
      const allCodes = tensors.take(blocks, ['U8'], [count, rows, groups, block / 2]);
      const allScales = tensors.take(scales, ['U8', 'F8_E8M0'], [count, rows, groups]);
      return Array.from({ length: count }, (_, index): MatrixSpec => {
        const codes = partOf(allCodes, index, [rows, cols / 2]);
        const own = { ...partOf(allScales, index, [rows, groups]), dtype: 'DATA_TYPE_F8_E8M0' as const };
        return codedMatrix('MATRIX_ENCODING_FP4', [rows, cols], codes, { scales: own }, { bits: 4, blockCols: block });
      });
    },
  }),
);

/** Matrix `index` of a tensor of bytes. */
function partOf(tensor: TensorRef, index: number, shape: [number, number]): TensorRef {
  return { ...tensor, offset: tensor.offset + index * shape[0] * shape[1], shape };
}

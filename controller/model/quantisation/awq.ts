import { z } from 'zod';
import { blocksOf, codedMatrix, floatTypes } from './matrices.ts';
import { defineMethod, noStacks } from './method.ts';

/** Integers of 4 bits with zero points, eight rows in a word. */
export const awq = defineMethod(
  'awq',
  z.object({
    bits: z.literal(4),
    group_size: z.union([z.literal(-1), z.int().min(1)]),
    version: z.preprocess((value) => (typeof value === 'string' ? value.toLowerCase() : value), z.enum(['gemm'])),
    zero_point: z.literal(true),
  }),
  ({ group_size: size }) => ({
    ...noStacks,
    matrix: (tensors, module, rows, cols) => {
      if (tensors.shapeOf(`${module}.qweight`) === null) return null;
      const blockCols = size === -1 ? cols : size;
      const groups = blocksOf(cols, blockCols);
      const data = tensors.take(`${module}.qweight`, ['I32'], [cols, rows / 8]);
      const parts = {
        scales: tensors.take(`${module}.scales`, floatTypes, [groups, rows]),
        zeros: tensors.take(`${module}.qzeros`, ['I32'], [groups, rows / 8]),
      };
      return codedMatrix('MATRIX_ENCODING_AWQ', [rows, cols], data, parts, { bits: 4, blockCols });
    },
  }),
);

import { z } from 'zod';
import { blocksOf, codedMatrix, floatTypes } from './matrices.ts';
import { defineMethod, noStacks } from './method.ts';

/** Integers of 2 to 8 bits, packed down the columns of the transposed matrix, with zero points. */
export const gptq = defineMethod(
  'gptq',
  z.object({
    bits: z.union([z.literal(2), z.literal(3), z.literal(4), z.literal(8)]),
    group_size: z.union([z.literal(-1), z.int().min(1)]),
    checkpoint_format: z.enum(['gptq', 'gptq_v2']).nullish(),
    pack_dtype: z.enum(['int32']).nullish(),
    format: z.enum(['gptq', 'gptq_v2']).nullish(),
    is_marlin_format: z.literal(false).nullish(),
    desc_act: z.boolean().nullish(),
    sym: z.boolean().nullish(),
  }),
  ({ bits: declared, group_size: size, desc_act: reordered, sym: symmetric, ...versions }) => ({
    ...noStacks,
    matrix: (tensors, module, rows, cols) => {
      const packed = tensors.shapeOf(`${module}.qweight`);
      if (packed === null) return null;
      // Rules of `dynamic` give modules other widths than the configuration's: the shape tells.
      const own = ((packed[0] ?? 0) * 32) / cols;
      const bits = [2, 3, 4, 8].includes(own) ? own : declared;
      const groupSize = tensors.shapeOf(`${module}.scales`)?.[0] === 1 || size === -1 ? cols : size;
      const groups = blocksOf(cols, groupSize);
      const words = blocksOf(rows * bits, 32);
      const [zeros, index] = [`${module}.qzeros`, `${module}.g_idx`];
      // Stored all the same: zero points in the middle, and columns in order.
      if (symmetric === true) tensors.skip(zeros);
      if (reordered === false) tensors.skip(index);
      const data = tensors.take(`${module}.qweight`, ['I32'], [blocksOf(cols * bits, 32), rows]);
      const parts = {
        scales: tensors.take(`${module}.scales`, floatTypes, [groups, rows]),
        zeros: symmetric === true ? null : tensors.take(zeros, ['I32'], [groups, words]),
        groupIndex:
          reordered === false || tensors.shapeOf(index) === null ? null : tensors.take(index, ['I32'], [cols]),
      };
      // The first version stores zero points less one.
      const zeroOffset = (versions.checkpoint_format ?? versions.format) === 'gptq_v2' ? 0 : 1;
      return codedMatrix('MATRIX_ENCODING_GPTQ', [rows, cols], data, parts, {
        bits,
        blockCols: groupSize,
        zeroOffset,
      });
    },
  }),
);

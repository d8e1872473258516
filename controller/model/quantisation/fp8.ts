import { z } from 'zod';
import type { StoredFormat } from '../checkpoint/stored-format.ts';
import { blocksOf, codedMatrix, floatTypes, scalesOf } from './matrices.ts';
import { defineMethod, noStacks } from './method.ts';

const size = z.int().min(1);

/** Elements of 8 bits and a scale for each block, as DeepSeek, Qwen and MiniMax publish them. */
export const fp8 = defineMethod(
  'fp8',
  z.object({
    fmt: z.enum(['e4m3', 'float8_e4m3fn']).nullish(),
    activation_scheme: z.enum(['dynamic', 'static']).nullish(),
    weight_block_size: z.tuple([size, size]).nullish(),
    scale_fmt: z.enum(['ue8m0', 'float']).nullish(),
  }),
  ({ weight_block_size: block }) => fp8Format('weight_scale_inv', block ?? null),
);

/** `module.scale` holds the scales, one for each block or, where `block` is null, one in all or one for each row. */
export function fp8Format(scale: string, block: readonly [number, number] | null): StoredFormat {
  return {
    ...noStacks,
    matrix: (tensors, module, rows, cols) => {
      const name = `${module}.${scale}`;
      const stored = tensors.shapeOf(name);
      if (stored === null || tensors.typeOf(`${module}.weight`) !== 'F8_E4M3') return null;
      for (const unused of ['activation_scale', 'input_scale']) tensors.skip(`${module}.${unused}`);
      const perRow = block === null && stored[0] === rows && rows > 1;
      const [blockRows, blockCols] = block ?? [perRow ? 1 : rows, cols];
      const scales = scalesOf(
        tensors,
        name,
        [...floatTypes, 'F8_E8M0'],
        [blocksOf(rows, blockRows), blocksOf(cols, blockCols)],
      );
      const data = tensors.take(`${module}.weight`, ['F8_E4M3'], [rows, cols]);
      return codedMatrix('MATRIX_ENCODING_SCALED', [rows, cols], data, { scales }, { blockRows, blockCols });
    },
  };
}

import { z } from 'zod';
import type { MatrixSpec__Output as MatrixSpec } from '../../../proto/generated/conclave/v1/MatrixSpec.ts';
import type { StoredFormat, TensorFinder } from '../checkpoint/stored-format.ts';
import { blocksOf, codedMatrix, floatTypes, scalesOf } from './matrices.ts';
import { defineMethod, noStacks } from './method.ts';

const size = z.int().min(1);

/** Columns of a block of 4-bit floats. */
const narrowBlock = 32;

/** Elements of 8 bits and a scale for each block, as DeepSeek, Qwen and MiniMax publish them; DeepSeek-V4's experts have 4. */
export const fp8 = defineMethod(
  'fp8',
  z.object({
    fmt: z.enum(['e4m3', 'float8_e4m3fn']).nullish(),
    activation_scheme: z.enum(['dynamic', 'static']).nullish(),
    weight_block_size: z.tuple([size, size]).nullish(),
    scale_fmt: z.enum(['ue8m0', 'float']).nullish(),
  }),
  ({ weight_block_size: block }) => {
    const usual = fp8Format('weight_scale_inv', block ?? null);
    const short = fp8Format('scale', block ?? null);
    return {
      ...noStacks,
      matrix: (tensors, module, rows, cols) =>
        narrowMatrix(tensors, module, rows, cols) ??
        (tensors.shapeOf(`${module}.scale`) === null ? usual : short).matrix(tensors, module, rows, cols),
    };
  },
);

/** Two floats of 4 bits a byte, with a power of two for each 32 of a row; null: the matrix is not stored so. */
function narrowMatrix(tensors: TensorFinder, module: string, rows: number, cols: number): MatrixSpec | null {
  const [name, scale] = [`${module}.weight`, `${module}.scale`];
  if (tensors.typeOf(name) !== 'I8' || tensors.typeOf(scale) !== 'F8_E8M0') return null;
  const data = tensors.take(name, ['I8'], [rows, cols / 2]);
  const scales = tensors.take(scale, ['F8_E8M0'], [rows, blocksOf(cols, narrowBlock)]);
  return codedMatrix('MATRIX_ENCODING_FP4', [rows, cols], data, { scales }, { bits: 4, blockCols: narrowBlock });
}

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

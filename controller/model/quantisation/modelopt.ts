import { z } from 'zod';
import type { StoredFormat } from '../checkpoint/stored-format.ts';
import { fp8Format } from './fp8.ts';
import { blocksOf, codedMatrix, globalScale } from './matrices.ts';
import { defineMethod, noStacks } from './method.ts';

/** Columns of a block of NVFP4. */
const block = 16;

/** NVIDIA's Model Optimizer: floats of 8 bits with one scale, or of 4 bits in blocks with scales of two levels. */
export const modelopt = defineMethod(
  'modelopt',
  z.object({ quant_algo: z.enum(['FP8', 'NVFP4']) }),
  ({ quant_algo: algorithm }) => (algorithm === 'FP8' ? fp8Format('weight_scale', null) : nvfp4),
);

const nvfp4: StoredFormat = {
  ...noStacks,
  matrix: (tensors, module, rows, cols) => {
    if (tensors.typeOf(`${module}.weight`) !== 'U8') return null;
    tensors.skip(`${module}.input_scale`);
    const data = tensors.take(`${module}.weight`, ['U8'], [rows, cols / 2]);
    const parts = {
      scales: tensors.take(`${module}.weight_scale`, ['F8_E4M3'], [rows, blocksOf(cols, block)]),
      globalScale: globalScale(tensors, `${module}.weight_scale_2`),
    };
    return codedMatrix('MATRIX_ENCODING_FP4', [rows, cols], data, parts, { bits: 4, blockCols: block });
  },
};

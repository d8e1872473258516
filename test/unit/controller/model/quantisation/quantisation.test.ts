import { describe, expect, it } from 'vitest';
import { TensorTable } from '../../../../../controller/model/checkpoint/tensors.ts';
import { Problems } from '../../../../../controller/model/config/problems.ts';
import { readQuantisation } from '../../../../../controller/model/quantisation/quantisation.ts';

type Stored = Readonly<Record<string, readonly [dtype: string, shape: readonly number[]]>>;

const linear = (weights: object, format: string, more: object = {}) => ({
  quant_method: 'compressed-tensors',
  format,
  config_groups: { group_0: { targets: ['Linear'], weights } },
  ...more,
});
const int4 = { num_bits: 4, type: 'int', strategy: 'group', group_size: 32, symmetric: true };
const awq = { quant_method: 'awq', bits: 4, group_size: 32, version: 'GEMM', zero_point: true };
const gptq = { quant_method: 'gptq', bits: 4, group_size: 32, desc_act: true, sym: false };

/** What a configuration makes of the matrix `m.weight` [64, 96] of a checkpoint, and what is wrong. */
function compile(config: object, stored: Stored) {
  const problems = new Problems();
  const report = (problem: string) => problems.add(problem);
  const format = readQuantisation({ quantization_config: config }, null, report);
  const tensors = new Map(
    Object.entries(stored).map(([name, [dtype, shape]]) => [name, { dtype, shape, offset: 0, bytes: 0, file: 0 }]),
  );
  const table = new TensorTable({ files: [], tensors, complete: true, warnings: [] }, problems, format);
  const matrix = table.matrix('m.weight', 64, 96);
  table.reportUnclaimed(() => false);
  const found: string[] = [];
  try {
    problems.throwIfAny('x');
  } catch (error) {
    found.push(...(error as { problems: string[] }).problems);
  }
  return { matrix, problems: found };
}

describe('a quantised matrix', () => {
  it.each<[string, object, Stored, object]>([
    [
      'fp8 by blocks that do not divide it',
      { quant_method: 'fp8', fmt: 'e4m3', activation_scheme: 'dynamic', weight_block_size: [60, 40] },
      { 'm.weight': ['F8_E4M3', [64, 96]], 'm.weight_scale_inv': ['F32', [2, 3]] },
      { encoding: 'MATRIX_ENCODING_SCALED', codes: { blockRows: 60, blockCols: 40 } },
    ],
    [
      'fp8 with one scale, of static activations',
      { quant_method: 'fp8', weight_block_size: null },
      { 'm.weight': ['F8_E4M3', [64, 96]], 'm.weight_scale_inv': ['F32', []], 'm.activation_scale': ['F32', []] },
      { encoding: 'MATRIX_ENCODING_SCALED', scales: { shape: [1, 1] }, codes: { blockRows: 64, blockCols: 96 } },
    ],
    [
      'int8 with a scale for each row',
      linear({ num_bits: 8, type: 'int', strategy: 'channel', symmetric: true }, 'int-quantized'),
      { 'm.weight': ['I8', [64, 96]], 'm.weight_scale': ['BF16', [64, 1]] },
      { encoding: 'MATRIX_ENCODING_SCALED', data: { dtype: 'DATA_TYPE_I8' }, codes: { blockRows: 1, blockCols: 96 } },
    ],
    [
      'int4 in groups, with zero points',
      linear({ ...int4, symmetric: false }, 'pack-quantized'),
      {
        'm.weight_packed': ['I32', [64, 12]],
        'm.weight_scale': ['F32', [64, 3]],
        'm.weight_zero_point': ['I32', [8, 3]],
        'm.weight_shape': ['I64', [2]],
      },
      { encoding: 'MATRIX_ENCODING_PACKED_ROWS', zeros: { shape: [8, 3] }, codes: { bits: 4, blockCols: 32 } },
    ],
    [
      'GPTQ, by the width that its shape tells where a rule gives the module another one',
      { ...gptq, dynamic: { '+:m': { bits: 8 } } },
      {
        'm.qweight': ['I32', [24, 64]],
        'm.qzeros': ['I32', [3, 16]],
        'm.scales': ['F16', [3, 64]],
        'm.g_idx': ['I32', [96]],
      },
      { encoding: 'MATRIX_ENCODING_GPTQ', groupIndex: { shape: [96] }, codes: { bits: 8, zeroOffset: 1 } },
    ],
    [
      'GPTQ of 3 bits in its second version',
      { ...gptq, bits: 3, checkpoint_format: 'gptq_v2' },
      { 'm.qweight': ['I32', [9, 64]], 'm.qzeros': ['I32', [3, 6]], 'm.scales': ['F16', [3, 64]] },
      { codes: { bits: 3, zeroOffset: 0, blockCols: 32 } },
    ],
    [
      'GPTQ in order and symmetric, whose index and zero points say nothing more',
      { ...gptq, desc_act: false, sym: true },
      {
        'm.qweight': ['I32', [12, 64]],
        'm.qzeros': ['I32', [3, 8]],
        'm.scales': ['F16', [3, 64]],
        'm.g_idx': ['I32', [96]],
      },
      { zeros: null, groupIndex: null, codes: { bits: 4, blockCols: 32 } },
    ],
    [
      'AWQ',
      awq,
      { 'm.qweight': ['I32', [96, 8]], 'm.qzeros': ['I32', [3, 8]], 'm.scales': ['F16', [3, 64]] },
      { encoding: 'MATRIX_ENCODING_AWQ', codes: { bits: 4, blockCols: 32 } },
    ],
    [
      'NVFP4, whose global scale divides',
      linear({ num_bits: 4, type: 'float', strategy: 'tensor_group', group_size: 16 }, 'nvfp4-pack-quantized'),
      {
        'm.weight_packed': ['U8', [64, 48]],
        'm.weight_scale': ['F8_E4M3', [64, 6]],
        'm.weight_global_scale': ['F32', [1]],
        'm.input_global_scale': ['F32', [1]],
      },
      { encoding: 'MATRIX_ENCODING_FP4', codes: { blockCols: 16, divides: true } },
    ],
    [
      'NVFP4 of Model Optimizer, whose global scale multiplies',
      { quant_method: 'modelopt', quant_algo: 'NVFP4' },
      {
        'm.weight': ['U8', [64, 48]],
        'm.weight_scale': ['F8_E4M3', [64, 6]],
        'm.weight_scale_2': ['F32', []],
        'm.input_scale': ['F32', []],
      },
      { encoding: 'MATRIX_ENCODING_FP4', codes: { blockCols: 16, divides: false } },
    ],
    ['a plain one, where the module is left out', awq, { 'm.weight': ['BF16', [64, 96]] }, { codes: null }],
  ])('is found: %s', (_, config, stored, expected) => {
    const { matrix, problems } = compile(config, stored);
    expect(problems).toEqual([]);
    expect(matrix).toMatchObject({ rows: 64, cols: 96, ...expected });
  });

  it.each<[object, string]>([
    [{ quant_method: 'hqq' }, 'quantization_config.quant_method is "hqq"; supported: fp8'],
    [{ ...awq, version: 'gemv' }, 'quantization_config.version is "gemv"; supported: "gemm"'],
    [{ ...gptq, checkpoint_format: 'marlin' }, 'quantization_config.checkpoint_format is "marlin"'],
    [{ quant_method: 'fp8', fmt: 'e5m2' }, 'quantization_config.fmt is "e5m2"; supported: "e4m3"'],
    [linear(int4, 'marlin-24'), 'quantization_config.format is "marlin-24"; supported: "pack-quantized"'],
    [linear(int4, 'pack-quantized', { transform_config: { rotation: {} } }), 'quantization_config.transform_config'],
    [linear(int4, 'pack-quantized', { sparsity_config: { format: 'sparse-24-bitmask' } }), 'sparsity_config'],
    [{ quant_method: 'modelopt', quant_algo: 'W4A8_AWQ' }, 'quantization_config.quant_algo is "W4A8_AWQ"'],
  ])('of another kind is refused by key and value: %j', (config, problem) => {
    const { problems } = compile(config, { 'm.weight': ['BF16', [64, 96]] });
    expect(problems.join('\n')).toContain(problem);
  });

  it('is refused where its tensors are not what the configuration says', () => {
    const { problems } = compile(awq, { 'm.qweight': ['I32', [96, 8]], 'm.scales': ['F16', [2, 64]] });
    expect(problems).toContain('tensor "m.scales" has shape [2,64]; expected [3,64]');
    expect(problems).toContain('tensor "m.qzeros" is missing; expected shape [3,8]');
  });
});

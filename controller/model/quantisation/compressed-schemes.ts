/** How compressed-tensors stores a matrix, by its scheme. */
import type { MatrixSpec__Output as MatrixSpec } from '../../../proto/generated/conclave/v1/MatrixSpec.ts';
import type { TensorFinder } from '../checkpoint/stored-format.ts';
import { quote } from '../config/problems.ts';
import { blocksOf, codedMatrix, floatTypes, globalScale, scalesOf } from './matrices.ts';

export interface WeightScheme {
  readonly format: string;
  readonly num_bits: 4 | 8;
  readonly type: 'int' | 'float';
  readonly strategy?: 'tensor' | 'channel' | 'group' | 'block' | 'tensor_group' | null | undefined;
  readonly group_size?: number | null | undefined;
  readonly block_structure?: readonly [number, number] | null | undefined;
  readonly symmetric?: boolean | null | undefined;
}

/** Rows and columns of a block of elements that share a scale. */
function blockOf(scheme: WeightScheme, rows: number, cols: number): readonly [number, number] {
  const group = scheme.group_size == null || scheme.group_size === -1 ? cols : scheme.group_size;
  switch (scheme.strategy ?? (scheme.group_size == null ? 'tensor' : 'group')) {
    case 'tensor':
      return [rows, cols];
    case 'channel':
      return [1, cols];
    case 'block':
      return scheme.block_structure ?? [rows, cols];
    default:
      return [1, group];
  }
}

/** Elements of 8 bits, one by one. */
export function scaled(
  tensors: TensorFinder,
  module: string,
  rows: number,
  cols: number,
  scheme: WeightScheme,
): MatrixSpec {
  const [blockRows, blockCols] = blockOf(scheme, rows, cols);
  if (scheme.symmetric === false) {
    // Symmetric weights may come with zero points of zero; others are stored otherwise by every exporter.
    tensors.report(`${quote(module)}: weights of ${scheme.format} with symmetric false; supported: true`);
  }
  tensors.skip(`${module}.weight_zero_point`);
  const data = tensors.take(`${module}.weight`, [scheme.type === 'int' ? 'I8' : 'F8_E4M3'], [rows, cols]);
  const blocks = [blocksOf(rows, blockRows), blocksOf(cols, blockCols)] as const;
  const scales = scalesOf(tensors, `${module}.weight_scale`, floatTypes, blocks);
  return codedMatrix('MATRIX_ENCODING_SCALED', [rows, cols], data, { scales }, { blockRows, blockCols });
}

/** Integers in words. */
export function packedInts(
  tensors: TensorFinder,
  module: string,
  rows: number,
  cols: number,
  scheme: WeightScheme,
): MatrixSpec {
  const { num_bits: bits } = scheme;
  const groupCols = blockOf(scheme, rows, cols)[1];
  const groups = blocksOf(cols, groupCols);
  tensors.skip(`${module}.weight_shape`);
  const zeros = `${module}.weight_zero_point`;
  const index = `${module}.weight_g_idx`;
  // An index of -1 throughout says that columns are in order, as do exporters that leave it out.
  const indexed = tensors.shapeOf(index) !== null;
  const data = tensors.take(`${module}.weight_packed`, ['I32'], [rows, blocksOf(cols * bits, 32)]);
  const parts = {
    scales: scalesOf(tensors, `${module}.weight_scale`, floatTypes, [rows, groups]),
    zeros: scheme.symmetric === false ? tensors.take(zeros, ['I32'], [blocksOf(rows * bits, 32), groups]) : null,
    groupIndex: indexed ? tensors.take(index, ['I32'], [cols]) : null,
  };
  if (scheme.symmetric !== false) tensors.skip(zeros);
  return codedMatrix('MATRIX_ENCODING_PACKED_ROWS', [rows, cols], data, parts, { bits, blockCols: groupCols });
}

/** Floats of 4 bits: NVFP4 with scales of two levels, which its quantiser divides by the global one, or MXFP4. */
export function packedFp4(
  tensors: TensorFinder,
  module: string,
  rows: number,
  cols: number,
  scheme: WeightScheme,
): MatrixSpec {
  const nvfp4 = scheme.format === 'nvfp4-pack-quantized';
  const blockCols = scheme.group_size ?? (nvfp4 ? 16 : 32);
  const data = tensors.take(`${module}.weight_packed`, ['U8'], [rows, cols / 2]);
  const shape = [rows, blocksOf(cols, blockCols)] as const;
  const stored = tensors.take(`${module}.weight_scale`, nvfp4 ? ['F8_E4M3'] : ['U8', 'F8_E8M0'], shape);
  const scales = nvfp4 ? stored : { ...stored, dtype: 'DATA_TYPE_F8_E8M0' as const };
  const parts = { scales, globalScale: nvfp4 ? globalScale(tensors, `${module}.weight_global_scale`) : null };
  return codedMatrix('MATRIX_ENCODING_FP4', [rows, cols], data, parts, { bits: 4, blockCols, divides: nvfp4 });
}

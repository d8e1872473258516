/** Element types of ggml: what a block of each takes, and how matrices of them are described to the engine. */
import type { BlockType__Output as BlockType } from '../../../proto/generated/conclave/v1/BlockType.ts';
import type { StoredFormat } from '../checkpoint/stored-format.ts';
import { codedMatrix } from '../quantisation/matrices.ts';

interface ElementType {
  /** As a checkpoint's file calls it. */
  readonly name: string;
  /** Elements and bytes of a block. */
  readonly block: number;
  readonly bytes: number;
  /** Of codes: their bits, and how many share a scale. */
  readonly codes?: { readonly bits: number; readonly group: number };
}

type Row = readonly [number: number, name: string, block: number, bytes: number, bits?: number, group?: number];

const rows: readonly Row[] = [
  [0, 'F32', 1, 4],
  [1, 'F16', 1, 2],
  [30, 'BF16', 1, 2],
  [2, 'Q4_0', 32, 18, 4, 32],
  [3, 'Q4_1', 32, 20, 4, 32],
  [6, 'Q5_0', 32, 22, 5, 32],
  [7, 'Q5_1', 32, 24, 5, 32],
  [8, 'Q8_0', 32, 34, 8, 32],
  [10, 'Q2_K', 256, 84, 2, 16],
  [11, 'Q3_K', 256, 110, 3, 16],
  [12, 'Q4_K', 256, 144, 4, 32],
  [13, 'Q5_K', 256, 176, 5, 32],
  [14, 'Q6_K', 256, 210, 6, 16],
  [20, 'IQ4_NL', 32, 18, 4, 32],
  [23, 'IQ4_XS', 256, 136, 4, 32],
  [39, 'MXFP4', 32, 17, 4, 32],
];

/** By ggml's number. */
export const elementTypes: ReadonlyMap<number, ElementType> = new Map(
  rows.map(([type, name, block, bytes, bits = 0, group = 0]): [number, ElementType] => [
    type,
    bits === 0 ? { name, block, bytes } : { name, block, bytes, codes: { bits, group } },
  ]),
);

const coded = new Map([...elementTypes.values()].flatMap((type) => (type.codes ? [[type.name, type] as const] : [])));

/** Matrices in blocks, each of a type of its own. */
export const blockFormat: StoredFormat = {
  stack: () => null,
  matrix: (tensors, module, rows, cols) => {
    const name = `${module}.weight`;
    const type = coded.get(tensors.typeOf(name) ?? '');
    if (!type?.codes) return null;
    const stored = tensors.take(name, [type.name], [rows, cols]);
    const data = { ...stored, dtype: 'DATA_TYPE_U8' as const, shape: [rows, (cols / type.block) * type.bytes] };
    const { bits, group: blockCols } = type.codes;
    const blockType = `BLOCK_TYPE_${type.name}` as BlockType;
    return codedMatrix('MATRIX_ENCODING_BLOCKS', [rows, cols], data, {}, { bits, blockCols, blockType });
  },
};

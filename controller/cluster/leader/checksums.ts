import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import type { CheckpointFile__Output as CheckpointFile } from '../../../proto/generated/conclave/v1/CheckpointFile.ts';
import type { LinearSpec__Output as LinearSpec } from '../../../proto/generated/conclave/v1/LinearSpec.ts';
import type { MatrixSpec__Output as MatrixSpec } from '../../../proto/generated/conclave/v1/MatrixSpec.ts';
import type { TensorRef__Output as TensorRef } from '../../../proto/generated/conclave/v1/TensorRef.ts';
import type { ModelSpec, PlacementPlan } from '../../../proto/messages.ts';
import { expertOf } from '../../../proto/model/experts.ts';
import { moeOf } from '../../../proto/model/operators.ts';
import { checkpointBytes, matrixTensors } from '../../../proto/model/tensors.ts';

/**
 * CRC-32 of every expert slice of a layer in the checkpoint at `directory`, by slice id: the bytes of gate rows, up rows and
 * down columns that belong to the slice, in that order. Workers compare what they load with it, so a damaged disk is found
 * before its weights are used.
 */
export async function expertChecksums(
  spec: ModelSpec,
  directory: string,
  layer: number,
  slices: number,
): Promise<readonly number[]> {
  const table = moeOf(spec.layers[layer])?.experts;
  const sums: number[] = [];
  for (let id = 0; id < (table?.count ?? 0); id++) {
    const expert = expertOf(table!, id);
    const read = (linear: LinearSpec | null) => readMatrix(spec, directory, linear?.weight ?? null);
    const [gate, up, down] = await Promise.all([read(expert.gate), read(expert.up), read(expert.down)]);
    for (let slice = 0; slice < slices; slice++) sums.push(sliceChecksum(gate, up, down, slice, slices));
  }
  return sums;
}

/** The plan with the checksums that its slots must have; `checksumsOf` gives those of a layer, empty for none. */
export async function withChecksums(
  plan: PlacementPlan,
  checksumsOf: (layer: number, slices: number) => Promise<readonly number[]>,
): Promise<PlacementPlan> {
  const experts: PlacementPlan['experts'] = [];
  // One layer at a time: a layer's experts may take gigabytes to read.
  for (const placement of plan.experts) {
    const checksums = await checksumsOf(placement.layer, placement.slices);
    experts.push({ ...placement, checksums: [...checksums] });
  }
  return { ...plan, experts };
}

interface Matrix {
  readonly bytes: Buffer;
  readonly rows: number;
  readonly rowBytes: number;
  /** Of codes: every slice counts all of them, with what belongs to them. */
  readonly whole: boolean;
}

async function readMatrix(spec: ModelSpec, directory: string, matrix: MatrixSpec | null): Promise<Matrix> {
  const tensor = matrix?.data ?? null;
  if (matrix === null || tensor === null) throw new Error('an expert of the model names no weights');
  if (matrix.codes !== null) {
    const tensors = matrixTensors(matrix).map((part) => readTensor(fileOf(spec, part), directory, part));
    return { bytes: Buffer.concat(await Promise.all(tensors)), rows: matrix.rows, rowBytes: 0, whole: true };
  }
  const bytes = regionOf(matrix, tensor, await readTensor(fileOf(spec, tensor), directory, tensor));
  return { bytes, rows: matrix.rows, rowBytes: elementBytes(tensor) * matrix.cols, whole: false };
}

function fileOf({ files }: ModelSpec, tensor: TensorRef): CheckpointFile {
  const file = files[tensor.file];
  if (file === undefined) throw new Error(`${tensor.name} is in file ${tensor.file} of ${files.length}`);
  return file;
}

function elementBytes(tensor: TensorRef): number {
  return checkpointBytes({ ...tensor, shape: [1] });
}

/** The bytes of a matrix, row by row, from those of what it is a part of. */
function regionOf({ rows, cols, region }: MatrixSpec, tensor: TensorRef, stored: Buffer): Buffer {
  if (region === null) return stored;
  const size = elementBytes(tensor);
  const width = tensor.shape[1] ?? 0;
  const bytes = Buffer.allocUnsafe(rows * cols * size);
  for (let row = 0; row < rows; row++) {
    const { firstRow, rowGroup, rowStep } = region;
    const storedRow = firstRow + Math.floor(row / rowGroup) * rowStep + (row % rowGroup);
    for (let col = 0; col < cols; col++) {
      const storedCol = region.firstCol + col;
      const at = region.transposed ? storedCol * width + storedRow : storedRow * width + storedCol;
      stored.copy(bytes, (row * cols + col) * size, at * size, (at + 1) * size);
    }
  }
  return bytes;
}

async function readTensor(file: CheckpointFile, directory: string, tensor: TensorRef): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(checkpointBytes(tensor));
  const handle = await open(join(directory, file.path), 'r');
  try {
    const { bytesRead } = await handle.read(bytes, 0, bytes.length, tensor.offset);
    if (bytesRead !== bytes.length)
      throw new Error(`${file.path}: ${tensor.name} ends after ${bytesRead} of ${bytes.length} bytes`);
  } finally {
    await handle.close();
  }
  return bytes;
}

function sliceChecksum(gate: Matrix, up: Matrix, down: Matrix, slice: number, slices: number): number {
  const width = gate.rows;
  const [first, end] = [sliceBegin(width, slice, slices), sliceBegin(width, slice + 1, slices)];
  let sum = 0;
  for (const { bytes, rowBytes, whole } of [gate, up]) {
    sum = crc32(whole ? bytes : bytes.subarray(first * rowBytes, end * rowBytes), sum);
  }
  if (slices === 1 || down.whole) return crc32(down.bytes, sum);
  const columnBytes = down.rowBytes / width;
  for (let row = 0; row < down.rows; row++) {
    const start = row * down.rowBytes;
    sum = crc32(down.bytes.subarray(start + first * columnBytes, start + end * columnBytes), sum);
  }
  return sum;
}

/** First element of a slice of an intermediate dimension, as ExpertPlacement.slices in plan.proto defines it. */
function sliceBegin(width: number, slice: number, slices: number): number {
  const group = width % 32 === 0 && width / 32 >= slices ? 32 : 1;
  return Math.floor(((width / group) * slice) / slices) * group;
}

/** Checksums by layer and number of slices. Each is made once: it takes reading the layer's experts. */
export class ChecksumCache {
  readonly #spec: ModelSpec;
  readonly #directory: string;
  readonly #known = new Map<string, Promise<readonly number[]>>();

  constructor(spec: ModelSpec, directory: string) {
    this.#spec = spec;
    this.#directory = directory;
  }

  get(layer: number, slices: number): Promise<readonly number[]> {
    const key = `${layer}/${slices}`;
    const known = this.#known.get(key) ?? expertChecksums(this.#spec, this.#directory, layer, slices);
    this.#known.set(key, known);
    known.catch(() => this.#known.delete(key)); // A disk may be back for the next plan.
    return known;
  }
}

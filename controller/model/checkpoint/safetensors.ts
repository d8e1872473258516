/**
 * Headers of safetensors files: u64 length, a JSON object of that length, then the tensors' bytes without gap or overlap.
 * Only the header is read. Everything in it is checked against the file's size before it is believed.
 */
import { open, stat } from 'node:fs/promises';
import { isObject, parseJsonObject } from '../config/json.ts';
import { quote } from '../config/problems.ts';

/** A tensor as a file declares it. */
export interface StoredTensor {
  /** The format's name of the element type, such as "BF16". */
  readonly dtype: string;
  /** Length of each dimension, outermost first. */
  readonly shape: readonly number[];
  /** First byte, from the start of the file. */
  readonly offset: number;
  readonly bytes: number;
}

export interface SafetensorsHeader {
  readonly fileBytes: number;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
}

/** The format's own limit on the header, in bytes. */
const maxHeaderBytes = 100_000_000;

const maxDimensions = 8;

/** Bits per element. */
const elementBits: Readonly<Record<string, number>> = {
  BOOL: 8,
  U8: 8,
  I8: 8,
  F8_E4M3: 8,
  F8_E5M2: 8,
  F8_E8M0: 8,
  U16: 16,
  I16: 16,
  F16: 16,
  BF16: 16,
  U32: 32,
  I32: 32,
  F32: 32,
  U64: 64,
  I64: 64,
  F64: 64,
};

/** Reads a file's header. Throws when the file cannot be one; what is wrong with single tensors goes to `report`. */
export async function readSafetensorsHeader(
  path: string,
  report: (problem: string) => void,
): Promise<SafetensorsHeader> {
  const { size: fileBytes, isFile } = await stat(path).then((stats) => ({ size: stats.size, isFile: stats.isFile() }));
  if (!isFile) throw new Error('not a regular file');
  const file = await open(path, 'r');
  try {
    const prefix = await readExactly(file, 0, 8);
    const length = prefix.readBigUInt64LE();
    if (length > BigInt(maxHeaderBytes)) {
      throw new Error(`the header claims ${length} bytes; the format allows ${maxHeaderBytes}`);
    }
    if (8 + Number(length) > fileBytes) {
      throw new Error(`truncated: the header claims ${length} bytes, the file has ${fileBytes}`);
    }
    const header = await readExactly(file, 8, Number(length));
    return { fileBytes, tensors: parseSafetensorsHeader(header, fileBytes, report) };
  } finally {
    await file.close();
  }
}

/** Parses the JSON part of a header of a file of `fileBytes` bytes. Throws and reports as readSafetensorsHeader does. */
export function parseSafetensorsHeader(
  header: Uint8Array,
  fileBytes: number,
  report: (problem: string) => void,
): ReadonlyMap<string, StoredTensor> {
  let entries: Readonly<Record<string, unknown>>;
  try {
    entries = parseJsonObject(new TextDecoder('utf-8', { fatal: true }).decode(header));
  } catch (error) {
    throw new Error(`the header is not valid: ${(error as Error).message}`, { cause: error });
  }
  const dataStart = 8 + header.byteLength;
  const tensors = new Map<string, StoredTensor>();
  let allValid = true;
  for (const [name, entry] of Object.entries(entries)) {
    if (name === '__metadata__') continue;
    const tensor = parseEntry(entry, dataStart);
    if (typeof tensor === 'string') {
      allValid = false;
      report(`${quote(name)}: ${tensor}`);
    } else {
      tensors.set(name, tensor);
    }
  }
  if (allValid) checkCoverage(tensors, dataStart, fileBytes, report);
  return tensors;
}

/** A tensor, or what is wrong with its entry. */
function parseEntry(entry: unknown, dataStart: number): StoredTensor | string {
  if (!isObject(entry)) return `expected an object, found ${quote(entry)}`;
  const { dtype, shape, data_offsets: offsets } = entry;
  const bits = typeof dtype === 'string' && Object.hasOwn(elementBits, dtype) ? elementBits[dtype] : undefined;
  if (typeof dtype !== 'string' || bits === undefined) {
    return `dtype ${quote(dtype)} is unknown; expected one of ${Object.keys(elementBits).join(', ')}`;
  }
  if (!isSizes(shape) || shape.length > maxDimensions || shape.some((length) => length > 0xffffffff)) {
    return `shape ${quote(shape)} is not a list of at most ${maxDimensions} lengths below 2^32`;
  }
  if (!isSizes(offsets) || offsets.length !== 2) return `data_offsets ${quote(offsets)} are not two byte positions`;
  const [begin = 0, end = 0] = offsets;
  const bytes = shape.reduce((product, length) => product * length, bits / 8);
  if (!Number.isSafeInteger(bytes)) return `shape ${quote(shape)} has too many elements`;
  if (end - begin !== bytes) {
    return `data_offsets ${quote(offsets)} span ${end - begin} bytes; ${dtype} ${quote(shape)} takes ${bytes}`;
  }
  return { dtype, shape, offset: dataStart + begin, bytes };
}

/** Tensors must follow each other from the end of the header to the end of the file. */
function checkCoverage(
  tensors: ReadonlyMap<string, StoredTensor>,
  dataStart: number,
  fileBytes: number,
  report: (problem: string) => void,
): void {
  const inOrder = [...tensors].sort(([, a], [, b]) => a.offset - b.offset || a.bytes - b.bytes);
  let end = dataStart;
  let previous = 'the header';
  for (const [name, tensor] of inOrder) {
    if (tensor.offset < end) {
      report(`${quote(name)} overlaps ${previous}: it starts at byte ${tensor.offset}, before ${end}`);
    } else if (tensor.offset > end) {
      report(`${tensor.offset - end} bytes between ${previous} and ${quote(name)} belong to no tensor`);
    }
    end = Math.max(end, tensor.offset + tensor.bytes);
    previous = quote(name);
  }
  if (end > fileBytes) report(`truncated: ${previous} ends at byte ${end}, the file has ${fileBytes}`);
  if (end < fileBytes) report(`${fileBytes - end} bytes after ${previous} belong to no tensor`);
}

function isSizes(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);
}

async function readExactly(file: Awaited<ReturnType<typeof open>>, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  let done = 0;
  while (done < length) {
    const { bytesRead } = await file.read(buffer, done, length - done, position + done);
    if (bytesRead === 0) throw new Error(`truncated: ${position + length} bytes expected, ${position + done} found`);
    done += bytesRead;
  }
  return buffer;
}

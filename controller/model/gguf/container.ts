/**
 * The head of a GGUF file: magic, version, counts, metadata by key, and where each tensor lies. Everything in it is checked
 * before it is believed.
 */

export type GgufValue = number | string | boolean | readonly GgufValue[];

export interface GgufTensor {
  /** ggml's number of the element type. */
  readonly type: number;
  /** Outermost first, as everywhere else here. */
  readonly shape: readonly number[];
  /** From the start of the tensors' data. */
  readonly offset: number;
}

export interface GgufHead {
  readonly metadata: ReadonlyMap<string, GgufValue>;
  readonly tensors: ReadonlyMap<string, GgufTensor>;
  /** First byte of the tensors' data. */
  readonly dataStart: number;
}

/** More of the file is needed. */
export class Truncated extends Error {}

const magic = 0x46554747;
const maxTensors = 1_000_000;
const maxKeys = 100_000;
const maxDepth = 4;

/** Parses the head from the first bytes of a file. Throws Truncated when there are too few, an Error when it cannot be one. */
export function parseGguf(bytes: Buffer): GgufHead {
  const at = new Cursor(bytes);
  if (at.u32() !== magic) throw new Error('expected a GGUF file; it does not begin with "GGUF"');
  const version = at.u32();
  if (version !== 2 && version !== 3) throw new Error(`GGUF version ${version}; supported: 2, 3 (little-endian)`);
  const tensorCount = at.size('tensors', maxTensors);
  const keyCount = at.size('keys', maxKeys);
  const metadata = new Map<string, GgufValue>();
  for (let i = 0; i < keyCount; i++) {
    const key = at.text();
    metadata.set(key, readValue(at, at.u32(), 0));
  }
  const tensors = new Map<string, GgufTensor>();
  for (let i = 0; i < tensorCount; i++) {
    const name = at.text();
    const dimensions = at.u32();
    if (dimensions > 4)
      throw new Error(`tensor ${JSON.stringify(name)} has ${dimensions} dimensions; at most 4 are read`);
    const shape = Array.from({ length: dimensions }, () => at.u64()).reverse();
    if (tensors.has(name)) throw new Error(`tensor ${JSON.stringify(name)} is listed twice`);
    tensors.set(name, { shape, type: at.u32(), offset: at.u64() });
  }
  const alignment = metadata.get('general.alignment') ?? 32;
  if (typeof alignment !== 'number' || alignment < 1 || alignment % 8 !== 0) {
    throw new Error(`general.alignment is ${JSON.stringify(alignment)}; expected a multiple of 8`);
  }
  return { metadata, tensors, dataStart: Math.ceil(at.position / alignment) * alignment };
}

/** By the format's number of a type. */
function readValue(at: Cursor, type: number, depth: number): GgufValue {
  const scalars: readonly ((() => GgufValue) | null)[] = [
    () => at.number(1, 'readUInt8'),
    () => at.number(1, 'readInt8'),
    () => at.number(2, 'readUInt16LE'),
    () => at.number(2, 'readInt16LE'),
    () => at.u32(),
    () => at.number(4, 'readInt32LE'),
    () => at.number(4, 'readFloatLE'),
    () => at.number(1, 'readUInt8') !== 0,
    () => at.text(),
    null,
    () => at.u64(),
    () => at.i64(),
    () => at.number(8, 'readDoubleLE'),
  ];
  if (type !== 9) {
    const scalar = scalars[type];
    if (!scalar) throw new Error(`metadata of the unknown type ${type}`);
    return scalar();
  }
  if (depth === maxDepth) throw new Error(`metadata nested deeper than ${maxDepth}`);
  const inner = at.u32();
  const count = at.u64();
  const values: GgufValue[] = [];
  for (let i = 0; i < count; i++) values.push(readValue(at, inner, depth + 1));
  return values;
}

type NumberReader =
  | 'readUInt8'
  | 'readInt8'
  | 'readUInt16LE'
  | 'readInt16LE'
  | 'readInt32LE'
  | 'readFloatLE'
  | 'readDoubleLE';

class Cursor {
  position = 0;
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  number(size: number, reader: NumberReader): number {
    return this.#bytes[reader](this.#advance(size));
  }

  u32(): number {
    return this.#bytes.readUInt32LE(this.#advance(4));
  }

  u64(): number {
    return this.#exact(this.#bytes.readBigUInt64LE(this.#advance(8)));
  }

  i64(): number {
    return this.#exact(this.#bytes.readBigInt64LE(this.#advance(8)));
  }

  size(what: string, most: number): number {
    const count = this.u64();
    if (count > most) throw new Error(`the file claims ${count} ${what}; at most ${most} are read`);
    return count;
  }

  text(): string {
    const length = this.u64();
    const start = this.#advance(length);
    return this.#bytes.toString('utf8', start, start + length);
  }

  #exact(value: bigint): number {
    const number = Number(value);
    if (!Number.isSafeInteger(number)) throw new Error(`the file holds the number ${value}, which is beyond 2^53`);
    return number;
  }

  #advance(size: number): number {
    const start = this.position;
    if (start + size > this.#bytes.length) throw new Truncated('the head goes on');
    this.position = start + size;
    return start;
  }
}

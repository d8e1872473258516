/**
 * ForwardRequest and ForwardResponse on the wire, written by hand for speed: the same bytes as any protobuf library writes,
 * in one allocation with one copy of each array, and read without copying (arrays are views of the received message).
 *
 * A field is its number and wire type (0: varint, 1 and 5: fixed, 2: length-delimited) as one varint, then its value.
 */

import type { AttentionRows, AttentionRows__Output } from '../../proto/generated/conclave/v1/AttentionRows.ts';
import type { DataType } from '../../proto/generated/conclave/v1/DataType.ts';
import type { ForwardRequest, ForwardRequest__Output } from '../../proto/generated/conclave/v1/ForwardRequest.ts';
import type { ForwardResponse, ForwardResponse__Output } from '../../proto/generated/conclave/v1/ForwardResponse.ts';
import type { Operator } from '../../proto/generated/conclave/v1/Operator.ts';
import type { Slab } from './slab.ts';

const dataTypes = [
  'DATA_TYPE_UNSPECIFIED',
  'DATA_TYPE_F32',
  'DATA_TYPE_F16',
  'DATA_TYPE_BF16',
  'DATA_TYPE_I32',
] as const;
const operators = ['OPERATOR_UNSPECIFIED', 'OPERATOR_ATTENTION', 'OPERATOR_FFN'] as const;
const empty: Buffer = Buffer.alloc(0);

/** Fields of one message: numbers and byte arrays by field number, written in order. Zeros and empty arrays are left out. */
class Writer {
  readonly #fields: number[] = [];
  readonly #values: (number | Uint8Array)[] = [];
  #size = 0;

  number(field: number, value: number | string | { toNumber(): number } | undefined): this {
    const plain = typeof value === 'object' ? value.toNumber() : Number(value ?? 0);
    if (plain === 0) return this;
    this.#fields.push(field);
    this.#values.push(plain);
    this.#size += varintSize(field * 8) + varintSize(plain);
    return this;
  }

  bytes(field: number, value: Uint8Array | undefined): this {
    return value === undefined || value.byteLength === 0 ? this : this.message(field, value);
  }

  /** Like bytes, but an empty message is not the same as none. */
  message(field: number, value: Uint8Array): this {
    this.#fields.push(field);
    this.#values.push(value);
    this.#size += varintSize(field * 8) + varintSize(value.byteLength) + value.byteLength;
    return this;
  }

  finish(slab: Slab): Buffer {
    const out = slab.take(this.#size);
    let at = 0;
    this.#values.forEach((value, i) => {
      const field = this.#fields[i] ?? 0;
      if (typeof value === 'number') {
        at = writeVarint(out, at, field * 8);
        at = writeVarint(out, at, value);
      } else {
        at = writeVarint(out, at, field * 8 + 2);
        at = writeVarint(out, at, value.byteLength);
        out.set(value, at);
        at += value.byteLength;
      }
    });
    return out;
  }
}

/** Calls back for every field of a message. Throws a RangeError on bytes that are not one. */
function readFields(
  message: Buffer,
  onNumber: (field: number, value: number) => void,
  onBytes: (field: number, value: Buffer) => void,
): void {
  let at = 0;
  /** Values above 2^53 lose their low bits: none that Conclave sends. */
  const varint = (): number => {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 10; i++) {
      const byte = message[at++];
      if (byte === undefined) throw new RangeError('the message ends within a number');
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 128;
    }
    throw new RangeError('a number is longer than 10 bytes');
  };
  const skip = (count: number): number => {
    const start = at;
    at += count;
    if (at > message.length) throw new RangeError(`a field of ${count} bytes ends after the message`);
    return start;
  };
  while (at < message.length) {
    const tag = varint();
    const field = Math.floor(tag / 8);
    switch (tag % 8) {
      case 0:
        onNumber(field, varint());
        break;
      case 1:
        skip(8);
        break;
      case 2: {
        const length = varint();
        const start = skip(length);
        onBytes(field, message.subarray(start, at));
        break;
      }
      case 5:
        skip(4);
        break;
      default:
        throw new RangeError(`field ${field} has wire type ${tag % 8}, which is not one`);
    }
  }
}

export function encodeForwardRequest(slab: Slab, request: ForwardRequest): Buffer {
  const writer = new Writer()
    .number(1, request.dispatchId)
    .number(2, request.epoch)
    .number(3, request.layer)
    .number(4, indexOf(operators, request.operator))
    .number(5, indexOf(dataTypes, request.dtype))
    .number(6, request.rowCount)
    .bytes(7, arrayOf(request.rows))
    .number(8, request.topK)
    .bytes(9, arrayOf(request.topkIds))
    .bytes(10, arrayOf(request.topkWeights))
    .number(11, request.dense === true ? 1 : 0);
  if (request.attention) writer.message(12, encodeAttention(slab, request.attention));
  return writer.number(13, request.deadlineMs).number(14, indexOf(dataTypes, request.partialDtype)).finish(slab);
}

export function decodeForwardRequest(message: Buffer): ForwardRequest__Output {
  const numbers = new Array<number>(15).fill(0); // A typed array would live outside the heap.
  const arrays: Buffer[] = [];
  readFields(
    message,
    (field, value) => {
      if (field < numbers.length) numbers[field] = value;
    },
    (field, value) => {
      if (field < numbers.length) arrays[field] = value;
    },
  );
  const number = (field: number): number => numbers[field] ?? 0;
  return {
    dispatchId: number(1),
    epoch: number(2),
    layer: number(3),
    operator: operators[number(4)] ?? 'OPERATOR_UNSPECIFIED',
    dtype: dataTypes[number(5)] ?? 'DATA_TYPE_UNSPECIFIED',
    rowCount: number(6),
    rows: arrays[7] ?? empty,
    topK: number(8),
    topkIds: arrays[9] ?? empty,
    topkWeights: arrays[10] ?? empty,
    dense: number(11) !== 0,
    attention: arrays[12] === undefined ? null : decodeAttention(arrays[12]),
    deadlineMs: number(13),
    partialDtype: dataTypes[number(14)] ?? 'DATA_TYPE_UNSPECIFIED',
  };
}

export function encodeForwardResponse(slab: Slab, response: ForwardResponse): Buffer {
  const writer = new Writer().number(1, response.dispatchId).number(2, response.epoch);
  if (response.error) {
    const { code = '', message = '' } = response.error;
    writer.message(3, new Writer().bytes(1, Buffer.from(code)).bytes(2, Buffer.from(message)).finish(slab));
  }
  return writer
    .number(4, indexOf(dataTypes, response.dtype))
    .number(5, response.rowCount)
    .bytes(6, arrayOf(response.partial))
    .number(7, response.elapsedUs)
    .finish(slab);
}

export function decodeForwardResponse(message: Buffer): ForwardResponse__Output {
  const numbers = new Array<number>(8).fill(0);
  let partial = empty;
  let error: ForwardResponse__Output['error'] = null;
  readFields(
    message,
    (field, value) => {
      if (field < numbers.length) numbers[field] = value;
    },
    (field, value) => {
      if (field === 6) partial = value;
      else if (field === 3) error = decodeError(value);
    },
  );
  const number = (field: number): number => numbers[field] ?? 0;
  return {
    dispatchId: number(1),
    epoch: number(2),
    error,
    dtype: dataTypes[number(4)] ?? 'DATA_TYPE_UNSPECIFIED',
    rowCount: number(5),
    partial,
    elapsedUs: number(7),
  };
}

function decodeError(message: Buffer): NonNullable<ForwardResponse__Output['error']> {
  const texts = ['', '', ''];
  readFields(
    message,
    () => undefined,
    (field, value) => {
      if (field < texts.length) texts[field] = value.toString('utf8');
    },
  );
  return { code: texts[1] ?? '', message: texts[2] ?? '' };
}

function encodeAttention(slab: Slab, attention: AttentionRows): Buffer {
  return new Writer()
    .bytes(1, Buffer.from(attention.pipeline ?? ''))
    .bytes(2, arrayOf(attention.positions))
    .bytes(3, arrayOf(attention.sequenceOffsets))
    .bytes(4, arrayOf(attention.blockTables))
    .bytes(5, arrayOf(attention.blockOffsets))
    .finish(slab);
}

function decodeAttention(message: Buffer): AttentionRows__Output {
  const arrays: Buffer[] = [];
  readFields(
    message,
    () => undefined,
    (field, value) => {
      if (field < 6) arrays[field] = value;
    },
  );
  const array = (field: number): Buffer => arrays[field] ?? empty;
  return {
    pipeline: array(1).toString('utf8'),
    positions: array(2),
    sequenceOffsets: array(3),
    blockTables: array(4),
    blockOffsets: array(5),
  };
}

/** Number of an enum value that is given by name or number. */
function indexOf(names: readonly string[], value: DataType | Operator | undefined): number {
  return typeof value === 'number' ? value : Math.max(0, names.indexOf(value ?? ''));
}

function arrayOf(value: Uint8Array | string | undefined): Uint8Array | undefined {
  return typeof value === 'string' ? Buffer.from(value, 'base64') : value;
}

function varintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) size++;
  return size;
}

function writeVarint(out: Buffer, start: number, value: number): number {
  let at = start;
  let rest = value;
  while (rest >= 128) {
    out[at++] = (rest % 128) | 0x80;
    rest = Math.floor(rest / 128);
  }
  out[at++] = rest;
  return at;
}

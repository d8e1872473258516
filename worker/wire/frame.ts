/**
 * ForwardRequest and ForwardResponse on the wire, written by hand for speed: the same bytes as any protobuf library writes,
 * with one copy of each array, and read without copying (arrays are views of the received message).
 *
 * A field is its number and wire type (0: varint, 1 and 5: fixed, 2: length-delimited) as one varint, then its value.
 */
import type { AttentionRows__Output as AttentionRows } from '../../proto/generated/conclave/v1/AttentionRows.ts';
import type { ForwardRequest, ForwardRequest__Output } from '../../proto/generated/conclave/v1/ForwardRequest.ts';
import type { ForwardResponse, ForwardResponse__Output } from '../../proto/generated/conclave/v1/ForwardResponse.ts';
import { conclave, encode } from '../../proto/messages.ts';

/** Gives memory for a message of at most so many bytes; what is in it does not matter. */
export type Allocate = (bytes: number) => Buffer;

const dataTypes = [
  'DATA_TYPE_UNSPECIFIED',
  'DATA_TYPE_F32',
  'DATA_TYPE_F16',
  'DATA_TYPE_BF16',
  'DATA_TYPE_I32',
  'DATA_TYPE_I24',
  'DATA_TYPE_F64',
] as const;
const operators = ['OPERATOR_UNSPECIFIED', 'OPERATOR_ATTENTION', 'OPERATOR_FFN'] as const;
const empty: Buffer = Buffer.alloc(0);

/** More than the numbers of either message and the tags and lengths of its arrays can take. */
const HEAD_BYTES = 192;

/** A dispatch as its sender knows it: the stream that carries it gives it an id and a deadline. */
export type UnsentRequest = Omit<ForwardRequest, 'dispatchId' | 'deadlineMs'>;

/** Encodes a request into the memory that `allocate` gives. */
export function encodeForwardRequest(
  request: UnsentRequest,
  dispatchId: number,
  deadlineMs: number,
  allocate: Allocate,
): Buffer {
  const rows = arrayOf(request.rows);
  const topkIds = arrayOf(request.topkIds);
  const topkWeights = arrayOf(request.topkWeights);
  const grid = arrayOf(request.grid);
  const attention = request.attention ? encode(conclave.AttentionRows, request.attention) : empty;
  const pipeline = Buffer.from(request.pipeline ?? '', 'utf8');
  const arrays = rows.length + topkIds.length + topkWeights.length + grid.length + pipeline.length;
  const out = allocate(HEAD_BYTES + arrays + attention.length);
  let at = writeNumber(out, 0, 1, dispatchId);
  at = writeNumber(out, at, 2, Number(request.epoch ?? 0));
  at = writeNumber(out, at, 3, request.layer ?? 0);
  at = writeNumber(out, at, 4, indexOf(operators, request.operator));
  at = writeNumber(out, at, 5, indexOf(dataTypes, request.dtype));
  at = writeNumber(out, at, 6, request.rowCount ?? 0);
  at = writeBytes(out, at, 7, rows);
  at = writeNumber(out, at, 8, request.topK ?? 0);
  at = writeBytes(out, at, 9, topkIds);
  at = writeBytes(out, at, 10, topkWeights);
  at = writeNumber(out, at, 11, request.dense === true ? 1 : 0);
  if (request.attention) at = writeMessage(out, at, 12, attention);
  at = writeNumber(out, at, 13, deadlineMs);
  at = writeBytes(out, at, 15, grid);
  at = writeBytes(out, at, 16, pipeline);
  return out.subarray(0, at);
}

/** Encodes a response into the memory that `allocate` gives. */
export function encodeForwardResponse(response: ForwardResponse, allocate: Allocate): Buffer {
  const partial = arrayOf(response.partial);
  const error = response.error ? encode(conclave.ShardError, response.error) : empty;
  const out = allocate(HEAD_BYTES + partial.length + error.length);
  let at = writeNumber(out, 0, 1, Number(response.dispatchId ?? 0));
  at = writeNumber(out, at, 2, Number(response.epoch ?? 0));
  if (response.error) at = writeMessage(out, at, 3, error);
  at = writeNumber(out, at, 4, indexOf(dataTypes, response.dtype));
  at = writeNumber(out, at, 5, response.rowCount ?? 0);
  at = writeBytes(out, at, 6, partial);
  at = writeNumber(out, at, 7, response.elapsedUs ?? 0);
  return out.subarray(0, at);
}

/** Decodes a request. Throws a RangeError on bytes that are not one. */
export function decodeForwardRequest(message: Buffer): ForwardRequest__Output {
  const request: ForwardRequest__Output = {
    dispatchId: 0,
    epoch: 0,
    pipeline: '',
    layer: 0,
    operator: 'OPERATOR_UNSPECIFIED',
    dtype: 'DATA_TYPE_UNSPECIFIED',
    rowCount: 0,
    rows: empty,
    topK: 0,
    topkIds: empty,
    topkWeights: empty,
    dense: false,
    attention: null,
    deadlineMs: 0,
    grid: empty,
  };
  const reader = new Reader(message);
  while (reader.next()) {
    if (reader.tag === 0x08) request.dispatchId = reader.number;
    else if (reader.tag === 0x10) request.epoch = reader.number;
    else if (reader.tag === 0x18) request.layer = reader.number;
    else if (reader.tag === 0x20) request.operator = operators[reader.number] ?? 'OPERATOR_UNSPECIFIED';
    else if (reader.tag === 0x28) request.dtype = dataTypes[reader.number] ?? 'DATA_TYPE_UNSPECIFIED';
    else if (reader.tag === 0x30) request.rowCount = reader.number;
    else if (reader.tag === 0x3a) request.rows = reader.bytes();
    else if (reader.tag === 0x40) request.topK = reader.number;
    else if (reader.tag === 0x4a) request.topkIds = reader.bytes();
    else if (reader.tag === 0x52) request.topkWeights = reader.bytes();
    else if (reader.tag === 0x58) request.dense = reader.number !== 0;
    else if (reader.tag === 0x62) request.attention = decodeAttention(reader.bytes());
    else if (reader.tag === 0x68) request.deadlineMs = reader.number;
    else if (reader.tag === 0x7a) request.grid = reader.bytes();
    else if (reader.tag === 0x82) request.pipeline = reader.bytes().toString('utf8');
  }
  return request;
}

/** Decodes a response. Throws a RangeError on bytes that are not one. */
export function decodeForwardResponse(message: Buffer): ForwardResponse__Output {
  const response: ForwardResponse__Output = {
    dispatchId: 0,
    epoch: 0,
    error: null,
    dtype: 'DATA_TYPE_UNSPECIFIED',
    rowCount: 0,
    partial: empty,
    elapsedUs: 0,
  };
  const reader = new Reader(message);
  while (reader.next()) {
    if (reader.tag === 0x08) response.dispatchId = reader.number;
    else if (reader.tag === 0x10) response.epoch = reader.number;
    else if (reader.tag === 0x1a) response.error = decodeError(reader.bytes());
    else if (reader.tag === 0x20) response.dtype = dataTypes[reader.number] ?? 'DATA_TYPE_UNSPECIFIED';
    else if (reader.tag === 0x28) response.rowCount = reader.number;
    else if (reader.tag === 0x32) response.partial = reader.bytes();
    else if (reader.tag === 0x38) response.elapsedUs = reader.number;
  }
  return response;
}

function decodeAttention(message: Buffer): AttentionRows {
  const attention: AttentionRows = {
    positions: empty,
    sequenceOffsets: empty,
    blockTables: empty,
    blockOffsets: empty,
    cacheId: 0,
    cacheFresh: false,
    cacheEpoch: 0,
    stateSlots: empty,
  };
  const reader = new Reader(message);
  while (reader.next()) {
    if (reader.tag === 0x12) attention.positions = reader.bytes();
    else if (reader.tag === 0x1a) attention.sequenceOffsets = reader.bytes();
    else if (reader.tag === 0x22) attention.blockTables = reader.bytes();
    else if (reader.tag === 0x2a) attention.blockOffsets = reader.bytes();
    else if (reader.tag === 0x30) attention.cacheId = reader.number;
    else if (reader.tag === 0x38) attention.cacheFresh = reader.number !== 0;
    else if (reader.tag === 0x40) attention.cacheEpoch = reader.number;
    else if (reader.tag === 0x4a) attention.stateSlots = reader.bytes();
  }
  return attention;
}

function decodeError(message: Buffer): NonNullable<ForwardResponse__Output['error']> {
  const error = { code: '', message: '' };
  const reader = new Reader(message);
  while (reader.next()) {
    if (reader.tag === 0x0a) error.code = reader.bytes().toString('utf8');
    else if (reader.tag === 0x12) error.message = reader.bytes().toString('utf8');
  }
  return error;
}

/** Walks over the fields of a message. */
class Reader {
  /** Field number and wire type of the current field. */
  tag = 0;
  /** Value of the current field when it is a varint; its length when it is length-delimited. */
  number = 0;
  readonly #message: Buffer;
  #at = 0;

  constructor(message: Buffer) {
    this.#message = message;
  }

  /** Goes to the next field; false at the end. Throws a RangeError where there is no whole field. */
  next(): boolean {
    if (this.#at >= this.#message.length) return false;
    this.tag = this.#varint();
    const wireType = this.tag % 8;
    if (wireType === 0) this.number = this.#varint();
    else if (wireType === 1) this.#skip(8);
    else if (wireType === 5) this.#skip(4);
    else if (wireType === 2) {
      this.number = this.#varint();
      this.#skip(this.number);
    } else throw new RangeError(`wire type ${wireType} is not one`);
    return true;
  }

  /** Bytes of the current field, which is length-delimited: a view. */
  bytes(): Buffer {
    return this.#message.subarray(this.#at - this.number, this.#at);
  }

  /** Values above 2^53 lose their low bits: Conclave sends none. */
  #varint(): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 10; i++) {
      const byte = this.#message[this.#at++];
      if (byte === undefined) throw new RangeError('the message ends within a number');
      value += (byte % 128) * scale;
      if (byte < 128) return value;
      scale *= 128;
    }
    throw new RangeError('a number is longer than 10 bytes');
  }

  #skip(count: number): void {
    this.#at += count;
    if (this.#at > this.#message.length) throw new RangeError(`a field of ${count} bytes ends after the message`);
  }
}

/** Number of an enum value that is given by name or number. */
function indexOf(names: readonly string[], value: string | number | undefined): number {
  return typeof value === 'number' ? value : Math.max(0, names.indexOf(value ?? ''));
}

function arrayOf(value: Uint8Array | string | undefined): Uint8Array {
  return typeof value === 'string' ? Buffer.from(value, 'base64') : (value ?? empty);
}

/** Zeros are left out, as proto3 does. */
function writeNumber(out: Buffer, at: number, field: number, value: number): number {
  return value === 0 ? at : writeVarint(out, writeVarint(out, at, field * 8), value);
}

/** Empty arrays are left out, as proto3 does. */
function writeBytes(out: Buffer, at: number, field: number, value: Uint8Array): number {
  return value.byteLength === 0 ? at : writeMessage(out, at, field, value);
}

function writeMessage(out: Buffer, at: number, field: number, value: Uint8Array): number {
  const start = writeVarint(out, writeVarint(out, at, field * 8 + 2), value.byteLength);
  out.set(value, start);
  return start + value.byteLength;
}

function writeVarint(out: Buffer, start: number, value: number): number {
  let at = start;
  let rest = value;
  while (rest >= 128) {
    out[at++] = (rest % 128) + 128;
    rest = Math.floor(rest / 128);
  }
  out[at++] = rest;
  return at;
}

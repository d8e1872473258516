import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { conclave, decode, encode } from '../../../../proto/messages.ts';
import {
  decodeForwardRequest,
  decodeForwardResponse,
  encodeForwardRequest,
  encodeForwardResponse,
} from '../../../../worker/wire/frame.ts';

const allocate = (size: number): Buffer => Buffer.alloc(size, 0xaa);
const uint32 = fc.nat(0xffffffff);
const uint53 = fc.nat(Number.MAX_SAFE_INTEGER);
const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array));
const dtype = fc.constantFrom(
  ...(['DATA_TYPE_UNSPECIFIED', 'DATA_TYPE_F32', 'DATA_TYPE_BF16', 'DATA_TYPE_I24', 'DATA_TYPE_F64'] as const),
);
const text = fc.string();

const request = fc.record({
  dispatchId: uint53,
  epoch: uint53,
  pipeline: text,
  layer: uint32,
  operator: fc.constantFrom('OPERATOR_UNSPECIFIED', 'OPERATOR_ATTENTION', 'OPERATOR_FFN'),
  dtype,
  rowCount: uint32,
  rows: bytes,
  topK: uint32,
  topkIds: bytes,
  topkWeights: bytes,
  dense: fc.boolean(),
  attention: fc.option(
    fc.record({
      positions: bytes,
      sequenceOffsets: bytes,
      blockTables: bytes,
      blockOffsets: bytes,
      stateSlots: bytes,
      cacheId: uint53,
      cacheFresh: fc.boolean(),
      cacheEpoch: uint53,
    }),
  ),
  deadlineMs: uint32,
  grid: bytes,
});

const response = fc.record({
  dispatchId: uint53,
  epoch: uint53,
  error: fc.option(fc.record({ code: text, message: text })),
  dtype,
  rowCount: uint32,
  partial: bytes,
  elapsedUs: uint32,
});

describe('the fast codec', () => {
  it('writes requests that the protobuf library reads, and reads those that it writes', () => {
    fc.assert(
      fc.property(request, (message) => {
        expect(
          decode(
            conclave.ForwardRequest,
            encodeForwardRequest(message, message.dispatchId, message.deadlineMs, allocate),
          ),
        ).toEqual(message);
        expect(decodeForwardRequest(encode(conclave.ForwardRequest, message))).toEqual(message);
      }),
    );
  });

  it('writes responses that the protobuf library reads, and reads those that it writes', () => {
    fc.assert(
      fc.property(response, (message) => {
        expect(decode(conclave.ForwardResponse, encodeForwardResponse(message, allocate))).toEqual(message);
        expect(decodeForwardResponse(encode(conclave.ForwardResponse, message))).toEqual(message);
      }),
    );
  });

  it('reads any bytes to a message or a RangeError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (array) => {
        for (const read of [decodeForwardRequest, decodeForwardResponse]) {
          try {
            read(Buffer.from(array));
          } catch (error) {
            expect(error).toBeInstanceOf(RangeError);
          }
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it('skips fields that it does not know', () => {
    const unknown = Buffer.from([0xf8, 0x07, 0x05, 0xfa, 0x07, 0x01, 0x00, 0x08, 0x09]); // 127: 5, 127: [0], 1: 9
    expect(decodeForwardRequest(unknown).dispatchId).toBe(9);
  });
});

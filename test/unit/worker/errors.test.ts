import { status } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import {
  errorCode,
  grpcStatus,
  refusalLabel,
  refusalLabels,
  stepFailure,
  workerErrorCodes,
} from '../../../worker/errors.ts';
import { shardFailureCodes } from '../../../worker/wire/failure.ts';

const rows = [
  ['CLOSED', 'fatal', false, status.UNAVAILABLE, 'CLOSED'],
  ['CORRUPT_CHECKPOINT', 'unknown', false, status.INTERNAL, 'OTHER'],
  ['DEVICE_LOST', 'transient', true, status.UNAVAILABLE, 'OTHER'],
  ['IO', 'transient', false, status.INTERNAL, 'OTHER'],
  ['INTERNAL', 'unknown', false, status.INTERNAL, 'INTERNAL'],
  ['INVALID_ARGUMENT', 'unknown', false, status.INVALID_ARGUMENT, 'INVALID_ARGUMENT'],
  ['NON_FINITE', 'unknown', false, status.INTERNAL, 'NON_FINITE'],
  ['OUT_OF_MEMORY', 'transient', false, status.INTERNAL, 'OTHER'],
  ['SLOT_NOT_LOADED', 'transient', false, status.INTERNAL, 'SLOT_NOT_LOADED'],
  ['UNSUPPORTED', 'unknown', false, status.INTERNAL, 'OTHER'],
  ['BUSY', 'transient', false, status.INTERNAL, 'BUSY'],
  ['DEADLINE', 'transient', false, status.INTERNAL, 'OTHER'],
  ['PEER_LOST', 'transient', false, status.INTERNAL, 'OTHER'],
  ['POISONED', 'transient', false, status.INTERNAL, 'OTHER'],
  ['REFUSED', 'transient', false, status.INTERNAL, 'OTHER'],
  ['CACHE_LOST', 'transient', true, status.INTERNAL, 'CACHE_LOST'],
  ['UNAVAILABLE', 'transient', false, status.UNAVAILABLE, 'OTHER'],
  ['ALREADY_EXISTS', 'unknown', false, status.ALREADY_EXISTS, 'OTHER'],
  ['OVERLOADED', 'unknown', false, status.RESOURCE_EXHAUSTED, 'OTHER'],
] as const;

describe('the catalogue of worker errors', () => {
  it.each(rows)('%s: %s step, cache lost %s, gRPC status %s, label %s', (code, kind, cacheLost, grpc, label) => {
    const error = Object.assign(new Error('failed'), { code });
    expect(errorCode(error)).toBe(code);
    expect(stepFailure(error)).toEqual({ kind, cacheLost });
    expect(grpcStatus(error)).toBe(grpc);
    expect(refusalLabel(code)).toBe(label);
  });

  it('has these codes and labels, and no others', () => {
    expect([...workerErrorCodes].sort()).toEqual(rows.map(([code]) => code).sort());
    expect([...refusalLabels].sort()).toEqual([...new Set(rows.map(([, , , , label]) => label))].sort());
    expect(workerErrorCodes).toEqual(expect.arrayContaining([...shardFailureCodes]));
  });

  it.each([null, 'text', new Error('no code'), { code: 7 }, { code: 'ENOENT' }, { code: 'toString' }])(
    'takes an error that it does not know for one of unknown cause: %o',
    (error) => {
      expect(errorCode(error)).toBeNull();
      expect(stepFailure(error)).toEqual({ kind: 'unknown', cacheLost: false });
      expect(grpcStatus(error)).toBe(status.INTERNAL);
    },
  );

  it.each(['ENOENT', 'toString', ''])('labels the code "%s" OTHER', (code) => {
    expect(refusalLabel(code)).toBe('OTHER');
  });
});

/** The worker's error codes, each mapped once: what it means for a step, for a gRPC client and for metrics. */
import { status } from '@grpc/grpc-js';
import type { NativeErrorCode } from '../native/native.ts';

interface ErrorRule {
  /**
   * When a step fails with it. transient: its sequences are computed again. unknown: one of them may be the cause, so each
   * is computed again alone, and the one that fails alone is given up. fatal: the executor will not recover.
   */
  readonly step: 'transient' | 'unknown' | 'fatal';
  /** Nothing in the whole cache may be reused, not only the blocks of the step that failed. */
  readonly cacheLost: boolean;
  /** What a client of the worker's gRPC services gets. */
  readonly status: status;
  /** Label in `conclave_shard_refusals_total`: the code, or OTHER. */
  readonly label: string;
}

const transient = { step: 'transient', cacheLost: false, status: status.INTERNAL, label: 'OTHER' } as const;
const unknown = { step: 'unknown', cacheLost: false, status: status.INTERNAL, label: 'OTHER' } as const;

const catalogue = {
  // Native errors.
  CLOSED: { step: 'fatal', cacheLost: false, status: status.UNAVAILABLE, label: 'CLOSED' },
  CORRUPT_CHECKPOINT: unknown,
  // The process ends with it: see WorkerProcessOptions.onDeviceLost.
  DEVICE_LOST: { ...transient, cacheLost: true, status: status.UNAVAILABLE },
  IO: transient,
  INTERNAL: { ...unknown, label: 'INTERNAL' },
  INVALID_ARGUMENT: { ...unknown, status: status.INVALID_ARGUMENT, label: 'INVALID_ARGUMENT' },
  NON_FINITE: { ...unknown, label: 'NON_FINITE' },
  OUT_OF_MEMORY: transient,
  SLOT_NOT_LOADED: { ...transient, label: 'SLOT_NOT_LOADED' },
  UNSUPPORTED: unknown,
  // Answers of other workers: see ShardFailure.
  BUSY: { ...transient, label: 'BUSY' },
  DEADLINE: transient,
  PEER_LOST: transient,
  POISONED: transient,
  REFUSED: transient,
  // Steps over several workers. CACHE_LOST: a part of the cache is gone with its worker, or belongs to another owner.
  CACHE_LOST: { ...transient, cacheLost: true, label: 'CACHE_LOST' },
  UNAVAILABLE: { ...transient, status: status.UNAVAILABLE },
  // Requests: see EngineError.
  ALREADY_EXISTS: { ...unknown, status: status.ALREADY_EXISTS },
  OVERLOADED: { ...unknown, status: status.RESOURCE_EXHAUSTED },
} as const satisfies Readonly<Record<string, ErrorRule>> & Readonly<Record<NativeErrorCode, ErrorRule>>;

export type WorkerErrorCode = keyof typeof catalogue;

/** An error of the worker: its code stands in the catalogue. */
export interface CodedError extends Error {
  readonly code: WorkerErrorCode;
}

export const workerErrorCodes = Object.keys(catalogue) as WorkerErrorCode[];

/** Labels of refused dispatches: all that `refusalLabel` can return. */
export const refusalLabels: ReadonlySet<string> = new Set(Object.values(catalogue).map(({ label }) => label));

/** The code of an error from the catalogue, or null for other errors. */
export function errorCode(error: unknown): WorkerErrorCode | null {
  if (typeof error !== 'object' || error === null || !('code' in error)) return null;
  return isCode(error.code) ? error.code : null;
}

/** What a failed step means for its sequences. */
export type StepFailure = Pick<ErrorRule, 'cacheLost'> & { readonly kind: ErrorRule['step'] };

/** What an executor's error means; one without a known code is like INTERNAL. */
export function stepFailure(error: unknown): StepFailure {
  const { step: kind, cacheLost } = catalogue[errorCode(error) ?? 'INTERNAL'];
  return { kind, cacheLost };
}

/** gRPC status of an error; INTERNAL for one without a known code. */
export function grpcStatus(error: unknown): status {
  return catalogue[errorCode(error) ?? 'INTERNAL'].status;
}

/** Metric label of the code under which a dispatch was refused. */
export function refusalLabel(code: string): string {
  return isCode(code) ? catalogue[code].label : 'OTHER';
}

function isCode(code: unknown): code is WorkerErrorCode {
  return typeof code === 'string' && Object.hasOwn(catalogue, code);
}

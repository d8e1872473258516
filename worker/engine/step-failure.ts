/** What a failed step means for its sequences. */
export interface StepFailure {
  /**
   * transient: compute them again. unknown: one of them may be the cause, so compute each again alone, and give up the one
   * that fails alone. fatal: the executor will not recover.
   */
  readonly kind: 'transient' | 'unknown' | 'fatal';
  /** Nothing in the whole cache may be reused, not only the batch's blocks. */
  readonly cacheLost: boolean;
}

const transientCodes: ReadonlySet<string> = new Set([
  // Native.
  'IO',
  'OUT_OF_MEMORY',
  'SLOT_NOT_LOADED',
  // Other workers.
  'BUSY',
  'CACHE_LOST',
  'DEADLINE',
  'PEER_LOST',
  'PIPELINE_LOST',
  'POISONED',
  'REFUSED',
  'UNAVAILABLE',
]);

/** A worker that held a part of the cache is gone. */
const cacheLostCodes: ReadonlySet<string> = new Set(['CACHE_LOST', 'PIPELINE_LOST']);

/** Reads an executor's error by its `code`. */
export function classifyStepFailure(error: unknown): StepFailure {
  const code = typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : '';
  if (code === 'CLOSED') return { kind: 'fatal', cacheLost: false };
  return { kind: transientCodes.has(code) ? 'transient' : 'unknown', cacheLost: cacheLostCodes.has(code) };
}

import type { CacheOptions, StepBatch, StepOutput } from '../../../native/native.ts';

/**
 * Computes one step. The scheduler knows nothing else of the model: one process or many workers, the contract is the same.
 */
export interface StepExecutor {
  /** Sequences per step, rows per step and cache blocks that the executor was made for. */
  readonly limits: ExecutorLimits;
  /**
   * Runs the batch through all layers and samples. Fails with a coded error when the step could not be computed; the cache
   * blocks of the batch then hold nothing that may be reused, and with the code CACHE_LOST no block at all does. Once the
   * promise has settled, nothing reads or writes the batch or its blocks any more.
   */
  execute(batch: StepBatch): Promise<StepOutput>;
}

export type ExecutorLimits = CacheOptions;

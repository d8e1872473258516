import type { StepBatch, StepOutput } from '../../../native/native.ts';

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
  execute(batch: ScheduledBatch): Promise<StepOutput>;
}

/** A step as the scheduler makes it. */
export interface ScheduledBatch extends StepBatch {
  /** Slot of each sequence's state of fixed size, [sequences]; -1 for a model without. Begins with zeros at position 0. */
  readonly stateSlots: Int32Array;
}

export interface ExecutorLimits {
  readonly kvBlocks: number;
  readonly blockSize: number;
  /** Sequences whose state of fixed size can be kept; 0 for a model without. */
  readonly stateSlots: number;
}

import type { StepBatch, StepOutput } from '../../native/native.ts';
import type { Clock } from '../../platform/process/clock.ts';
import type { ExecutorLimits, StepExecutor } from '../engine/step/executor.ts';
import { type CodedError, stepFailure } from '../errors.ts';
import type { CacheClaim } from '../wire/cache-claim.ts';

export interface ClusterExecutorOptions {
  readonly limits: ExecutorLimits;
  readonly run: (batch: StepBatch) => Promise<StepOutput>;
  /** Whether every worker that holds a part of the pipeline's cache can be reached. */
  readonly ready: () => boolean;
  /** What other workers' parts of the cache hold. */
  readonly claim: CacheClaim;
  readonly clock: Clock;
  /** Milliseconds that a step waits for those workers. */
  readonly waitMs?: number;
}

const POLL_MS = 20;

/** A step could not be computed. */
class StepError extends Error implements CodedError {
  override readonly name = 'StepError';
  readonly code: 'CACHE_LOST' | 'UNAVAILABLE';

  constructor(code: 'CACHE_LOST' | 'UNAVAILABLE', message: string) {
    super(message);
    this.code = code;
  }
}

/**
 * Steps of a pipeline that spans workers. While one of them is away a step waits for it; when one came back without its
 * cache, the next step fails with CACHE_LOST, upon which the engine computes its sequences again.
 */
export class ClusterExecutor implements StepExecutor {
  readonly limits: ExecutorLimits;
  readonly #options: ClusterExecutorOptions;
  #cacheLost: string | null = null;
  #stopped = false;

  constructor(options: ClusterExecutorOptions) {
    this.#options = options;
    this.limits = options.limits;
  }

  /** A part of the cache is gone; `reason` goes into the error of the next step. */
  loseCache(reason: string): void {
    this.#cacheLost = reason;
  }

  /** Nobody is waited for any more: the pipeline goes on elsewhere, or with other workers. */
  stop(): void {
    this.#stopped = true;
  }

  async execute(batch: StepBatch): Promise<StepOutput> {
    await this.#untilReady();
    const reason = this.#cacheLost;
    if (reason !== null) {
      this.#cacheLost = null;
      this.#options.claim.lost();
      throw new StepError('CACHE_LOST', reason);
    }
    const { run, claim } = this.#options;
    try {
      const output = await run(batch);
      claim.succeeded();
      return output;
    } catch (error) {
      if (stepFailure(error).cacheLost) claim.lost();
      throw error;
    }
  }

  async #untilReady(): Promise<void> {
    const { ready, clock, waitMs = 30_000 } = this.#options;
    const started = clock.now();
    while (!ready()) {
      if (this.#stopped) throw new StepError('UNAVAILABLE', 'the pipeline is taken away from this worker');
      if (clock.now() - started > waitMs) {
        throw new StepError('UNAVAILABLE', `a worker of the pipeline was away for more than ${waitMs} ms`);
      }
      await new Promise<void>((resolve) => clock.after(POLL_MS, resolve));
    }
  }
}

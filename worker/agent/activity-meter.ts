import type { WorkerActivity } from '../../proto/generated/conclave/v1/WorkerActivity.ts';
import type { EngineSnapshot, StepReport } from '../engine/run/observer.ts';
import { BusyTime } from './busy-time.ts';

/** Steps with prompts in them that the rate of prefill rests on, about: old ones count less. */
const PREFILL_STEPS = 32;

/** Counts what a worker does between two reports. */
export class ActivityMeter {
  readonly #stepping: BusyTime;
  readonly #answering: BusyTime;
  #dispatches = 0;
  #dispatchMs = 0;
  #tokens = 0;
  /** Prompt tokens of steps, and the milliseconds that the steps took, old ones counting less. */
  #prefillTokens = 0;
  #prefillMs = 0;
  #busyRatio = 0;

  /** `now`: monotonic milliseconds. */
  constructor(now: () => number) {
    this.#stepping = new BusyTime(now);
    this.#answering = new BusyTime(now);
  }

  /** Part of the time in which the worker computed, between the last two calls of take. */
  get busyRatio(): number {
    return this.#busyRatio;
  }

  /** Another worker answered rows that were sent to it. */
  answered(elapsedMs: number): void {
    this.#dispatches += 1;
    this.#dispatchMs += elapsedMs;
  }

  /** Rows of another worker were computed. */
  forwarded(elapsedMs: number): void {
    this.#answering.ended(elapsedMs);
  }

  /** A step came back. */
  stepped({ decodeTokens, prefillTokens, executeMs }: StepReport): void {
    this.#stepping.ended(executeMs);
    this.#tokens += decodeTokens;
    if (prefillTokens === 0) return;
    this.#prefillTokens += prefillTokens - this.#prefillTokens / PREFILL_STEPS;
    this.#prefillMs += executeMs - this.#prefillMs / PREFILL_STEPS;
  }

  /** A sequence got its first token, that of its prompt's last row. */
  began(): void {
    this.#tokens += 1;
  }

  /** What was counted since the last call, `seconds` ago, and where the engine stands; null on a worker that leads no pipeline. */
  take(seconds: number, engine: EngineSnapshot | null): WorkerActivity {
    this.#busyRatio = Math.max(this.#stepping.take(seconds), this.#answering.take(seconds));
    const activity = {
      dispatchMs: this.#dispatches === 0 ? 0 : this.#dispatchMs / this.#dispatches,
      tokensPerSecond: this.#tokens / seconds,
      running: engine?.running ?? 0,
      waiting: engine?.waiting ?? 0,
      busyRatio: this.#busyRatio,
      waitingTokens: engine?.waitingTokens ?? 0,
      prefillTokensPerSecond: this.#prefillMs === 0 ? 0 : (1_000 * this.#prefillTokens) / this.#prefillMs,
      ...(engine !== null && { kvCacheUsageRatio: engine.kvUsage }),
    };
    this.#dispatches = 0;
    this.#dispatchMs = 0;
    this.#tokens = 0;
    return activity;
  }
}

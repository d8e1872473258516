import type { WorkerActivity } from '../../proto/generated/conclave/v1/WorkerActivity.ts';
import type { EngineSnapshot } from '../engine/run/observer.ts';

/** Counts what a worker does between two reports. */
export class ActivityMeter {
  #dispatches = 0;
  #dispatchMs = 0;
  #tokens = 0;

  /** Another worker answered rows that were sent to it. */
  answered(elapsedMs: number): void {
    this.#dispatches += 1;
    this.#dispatchMs += elapsedMs;
  }

  /** The engine made so many tokens. */
  generated(tokens: number): void {
    this.#tokens += tokens;
  }

  /** What was counted since the last call, `seconds` ago, and where the engine stands; null on a worker that leads no pipeline. */
  take(seconds: number, engine: EngineSnapshot | null): WorkerActivity {
    const activity = {
      dispatchMs: this.#dispatches === 0 ? 0 : this.#dispatchMs / this.#dispatches,
      tokensPerSecond: this.#tokens / seconds,
      running: engine?.running ?? 0,
      waiting: engine?.waiting ?? 0,
      ...(engine !== null && { kvCacheUsageRatio: engine.kvUsage }),
    };
    this.#dispatches = 0;
    this.#dispatchMs = 0;
    this.#tokens = 0;
    return activity;
  }
}

import type { Clock } from '../../platform/process/clock.ts';

const firstDelayMs = 20;
const longestDelayMs = 1000;

/** The wait after a failed step, doubled with each further one until a step succeeds. */
export class RetryBackoff {
  readonly #clock: Clock;
  #failures = 0;
  #waiting = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether the next try is put off. */
  get waiting(): boolean {
    return this.#waiting;
  }

  /** A step failed; `retry` is called when the wait is over, unless one is already under way. */
  failed(retry: () => void): void {
    const delay = Math.min(longestDelayMs, firstDelayMs * 2 ** this.#failures++);
    if (this.#waiting) return;
    this.#waiting = true;
    this.#clock.after(delay, () => {
      this.#waiting = false;
      retry();
    });
  }

  succeeded(): void {
    this.#failures = 0;
  }
}

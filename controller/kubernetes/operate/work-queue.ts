import type { Clock } from '../../../platform/process/clock.ts';

export interface WorkQueueOptions {
  readonly clock: Clock;
  /** Looks at one object. The queue tries again after a rejection. */
  readonly work: (key: string) => Promise<void>;
  readonly onError: (key: string, error: unknown) => void;
}

const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 30_000;

/**
 * Objects to look at, one after the other: each is in the queue once, however often it changes, and one that fails is tried again
 * later and later, without holding up the others.
 */
export class WorkQueue {
  readonly #options: WorkQueueOptions;
  readonly #waiting = new Set<string>();
  readonly #failures = new Map<string, number>();
  readonly #retries = new Map<string, () => void>();
  #running = false;
  #stopped = false;

  constructor(options: WorkQueueOptions) {
    this.#options = options;
  }

  /** One that failed is looked at when its time has come, whatever changes until then. */
  add(key: string): void {
    if (this.#stopped || this.#retries.has(key)) return;
    this.#waiting.add(key);
    if (!this.#running) void this.#run();
  }

  /** Ends what waits; what is being looked at goes on to its end. */
  stop(): void {
    this.#stopped = true;
    this.#waiting.clear();
    for (const cancel of this.#retries.values()) cancel();
    this.#retries.clear();
  }

  async #run(): Promise<void> {
    this.#running = true;
    await Promise.resolve(); // What comes together is looked at together.
    for (const key of this.#waiting) {
      this.#waiting.delete(key);
      try {
        await this.#options.work(key);
        this.#failures.delete(key);
      } catch (error) {
        this.#failed(key, error);
      }
    }
    this.#running = false;
  }

  #failed(key: string, error: unknown): void {
    const { clock, onError } = this.#options;
    onError(key, error);
    if (this.#stopped) return;
    const failures = this.#failures.get(key) ?? 0;
    this.#failures.set(key, failures + 1);
    const delay = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(failures, 10));
    this.#retries.set(
      key,
      clock.after(delay, () => {
        this.#retries.delete(key);
        this.add(key);
      }),
    );
  }
}

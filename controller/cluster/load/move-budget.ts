const MINUTE_MS = 60_000;

/** Slots that may be loaded for the sake of load: so many a minute, and no more at once. */
export class MoveBudget {
  readonly #now: () => number;
  #spent = 0;
  #at: number;

  /** `now`: monotonic milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
    this.#at = now();
  }

  /** What is left when `perMinute` are allowed. */
  left(perMinute: number): number {
    const now = this.#now();
    this.#spent = Math.max(0, this.#spent - ((now - this.#at) / MINUTE_MS) * perMinute);
    this.#at = now;
    return Math.max(0, Math.floor(perMinute - this.#spent));
  }

  spend(loads: number): void {
    this.#spent += loads;
  }
}

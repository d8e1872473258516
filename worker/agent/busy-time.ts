/** How much of the time something was at work, as reported when each piece of work ends. Pieces that overlap count once. */
export class BusyTime {
  readonly #now: () => number;
  #busyMs = 0;
  /** Up to here everything is counted. */
  #countedTo: number;

  /** `now`: monotonic milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
    this.#countedTo = now();
  }

  /** A piece of work has ended that took so many milliseconds, waiting for others included. */
  ended(elapsedMs: number): void {
    const now = this.#now();
    this.#busyMs += now - Math.max(this.#countedTo, now - elapsedMs);
    this.#countedTo = now;
  }

  /** Part of the last `seconds` since the last call, 0 to 1. */
  take(seconds: number): number {
    const ratio = Math.min(1, this.#busyMs / 1_000 / seconds);
    this.#busyMs = 0;
    return ratio;
  }
}

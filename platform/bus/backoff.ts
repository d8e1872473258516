const firstMs = 50;
const mostMs = 1_000;

/** Delays between tries: they double from 50 ms to 1 s, with up to as much again at random, until a try succeeds. */
export class Backoff {
  readonly #random: () => number;
  #failures = 0;

  constructor(random: () => number) {
    this.#random = random;
  }

  /** Milliseconds to wait before the next try. */
  get delayMs(): number {
    return Math.min(mostMs, firstMs * 2 ** Math.min(this.#failures, 10)) * (1 + this.#random());
  }

  failed(): void {
    this.#failures += 1;
  }

  succeeded(): void {
    this.#failures = 0;
  }
}

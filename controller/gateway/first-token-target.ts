/** Milliseconds that a request counts. */
const WINDOW_MS = 60_000;
/** Requests that count; the latest ones. */
const MOST = 2_048;
const QUANTILE = 0.9;

/** How the time to first token compares with what it should be. */
export class FirstTokenTarget {
  readonly #targetMs: number;
  readonly #now: () => number;
  #recent: { readonly at: number; readonly ms: number }[] = [];

  /** `now`: monotonic milliseconds. */
  constructor(targetMs: number, now: () => number) {
    this.#targetMs = targetMs;
    this.#now = now;
  }

  /** A request got its first token. */
  observe(ms: number): void {
    this.#recent.push({ at: this.#now(), ms });
    if (this.#recent.length > 2 * MOST) this.#forget();
  }

  /** What nine requests in ten of the last minute waited at most, divided by the target; 0 without requests. */
  ratio(): number {
    this.#forget();
    const sorted = this.#recent.map(({ ms }) => ms).sort((a, b) => a - b);
    return (sorted[Math.ceil(QUANTILE * sorted.length) - 1] ?? 0) / this.#targetMs;
  }

  #forget(): void {
    const since = this.#now() - WINDOW_MS;
    this.#recent = this.#recent.filter(({ at }) => at > since).slice(-MOST);
  }
}

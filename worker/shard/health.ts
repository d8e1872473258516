/**
 * What a stage knows of one peer's speed and state.
 *
 * Latency is an exponentially weighted mean of the time per answer and of its deviation (as TCP estimates round trips).
 * A failure takes the peer out of the routes; a successful probe brings it back. Repeated failures lengthen the time to
 * the next probe, so a peer that flaps costs little.
 */
export interface HealthOptions {
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** Least deadline of a dispatch, in milliseconds. */
  readonly minDeadlineMs: number;
  /** Largest deadline of a dispatch, in milliseconds. */
  readonly maxDeadlineMs: number;
}

const WEIGHT = 1 / 16;
const FIRST_PROBE_MS = 200;
const MAX_PROBE_MS = 5_000;
/** One refusal is a slot that has just moved away; so many in a row are a worker that is not what it says. */
const MAX_REFUSALS = 3;
/** So many answers in a row end the time in which failures count as repeated: one good answer between bad ones does not. */
const GOOD_ANSWERS = 16;

export class PeerHealth {
  readonly #options: HealthOptions;
  #usable = false;
  #failures = 0;
  #goodAnswers = 0;
  #refusals = 0;
  #nextProbeAt = 0;
  #latencyMs = 0;
  #deviationMs = 0;
  #rows = 0;
  #samples = 0;

  constructor(options: HealthOptions) {
    this.#options = options;
  }

  get usable(): boolean {
    return this.#usable;
  }

  /** Smoothed milliseconds per answer; 0 before the first. */
  get latencyMs(): number {
    return this.#latencyMs;
  }

  /** Relative capacity for routing: smoothed rows per millisecond. 1 before the first answer. */
  get share(): number {
    return this.#samples === 0 ? 1 : this.#rows / Math.max(this.#latencyMs, 1e-3);
  }

  /** Records an answer to `rows` rows after `elapsedMs`. */
  answered(elapsedMs: number, rows: number): void {
    if (this.#samples === 0) {
      this.#latencyMs = elapsedMs;
      this.#deviationMs = elapsedMs / 2;
      this.#rows = rows;
    } else {
      this.#deviationMs += WEIGHT * (Math.abs(elapsedMs - this.#latencyMs) - this.#deviationMs);
      this.#latencyMs += WEIGHT * (elapsedMs - this.#latencyMs);
      this.#rows += WEIGHT * (rows - this.#rows);
    }
    this.#samples++;
    this.#goodAnswers++;
    if (this.#goodAnswers >= GOOD_ANSWERS) this.#failures = 0;
    this.#refusals = 0;
  }

  /** Records a failure: the peer leaves the routes until a probe succeeds. Returns whether it was usable. */
  failed(): boolean {
    const was = this.#usable;
    this.#usable = false;
    this.#goodAnswers = 0;
    const wait = Math.min(MAX_PROBE_MS, FIRST_PROBE_MS * 2 ** Math.min(this.#failures, 8));
    this.#failures++;
    this.#nextProbeAt = this.#options.now() + wait;
    return was;
  }

  /** Records that the peer answered with an error. Returns whether this took it out of the routes. */
  refused(): boolean {
    this.#refusals++;
    return this.#refusals >= MAX_REFUSALS && this.failed();
  }

  /** Records that the peer answered a probe. Returns whether this made it usable. */
  recovered(): boolean {
    const was = this.#usable;
    this.#usable = true;
    this.#refusals = 0;
    return !was;
  }

  /** Whether an unusable peer should be probed now. */
  get probeDue(): boolean {
    return !this.#usable && this.#options.now() >= this.#nextProbeAt;
  }

  /**
   * Deadline of a dispatch of `rows` rows: eight times what is expected, within the configured bounds. More rows than usual
   * may take longer in proportion; fewer are not expected to be faster, since much of the time is none of theirs.
   */
  deadlineMs(rows: number): number {
    const { minDeadlineMs, maxDeadlineMs } = this.#options;
    if (this.#samples === 0) return maxDeadlineMs;
    const expected = (this.#latencyMs + 4 * this.#deviationMs) * Math.max(1, rows / Math.max(1, this.#rows));
    return Math.min(maxDeadlineMs, Math.max(minDeadlineMs, 8 * expected));
  }
}

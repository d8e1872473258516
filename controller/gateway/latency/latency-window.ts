import type { LatencySummary } from '../../../proto/generated/conclave/v1/LatencySummary.ts';
import { addCounts, percentilesOf } from './histogram.ts';
import type { LatencyCounts } from './latency-meter.ts';

/** Milliseconds that a summary covers. */
const WINDOW_MS = 60_000;
/** Most counts kept: 64 controllers that report every two seconds. */
const MOST = 64 * 30;

/** The times of the last minute, as everyone who measured them reported. */
export class LatencyWindow {
  #kept: { readonly at: number; readonly counts: LatencyCounts }[] = [];
  readonly #now: () => number;

  /** `now`: monotonic milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
  }

  add(counts: LatencyCounts): void {
    this.#kept = [...this.#recent(), { at: this.#now(), counts }].slice(-MOST);
  }

  /** Null while no token was sent. */
  summary(): LatencySummary | null {
    const all = this.#recent();
    const of = (key: keyof LatencyCounts) => percentilesOf(addCounts(all.map(({ counts }) => counts[key])));
    const [timeToFirstToken, interToken, queueTime] = [of('timeToFirstToken'), of('interToken'), of('queueTime')];
    if (timeToFirstToken === null && interToken === null) return null;
    return { timeToFirstToken, interToken, queueTime };
  }

  #recent() {
    const oldest = this.#now() - WINDOW_MS;
    return this.#kept.filter(({ at }) => at > oldest);
  }
}

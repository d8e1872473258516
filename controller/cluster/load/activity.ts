import type { LoadReport__Output as LoadReport } from '../../../proto/generated/conclave/v1/LoadReport.ts';
import type { WorkerActivity__Output as WorkerActivity } from '../../../proto/generated/conclave/v1/WorkerActivity.ts';

/** A worker that has not reported for so many milliseconds is not known to do anything. */
const STALE_MS = 20_000;

/** What workers said last of what they do. */
export class ActivityBook {
  readonly #latest = new Map<string, { readonly activity: WorkerActivity; readonly at: number }>();
  readonly #now: () => number;

  /** `now`: monotonic milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
  }

  add({ workerId, activity }: LoadReport): void {
    const at = this.#now();
    if (activity !== null) this.#latest.set(workerId, { activity, at });
    for (const [id, entry] of this.#latest) if (at - entry.at > STALE_MS) this.#latest.delete(id);
  }

  /** Null when it has said nothing lately. */
  of(workerId: string): WorkerActivity | null {
    const entry = this.#latest.get(workerId);
    return entry === undefined || this.#now() - entry.at > STALE_MS ? null : entry.activity;
  }
}

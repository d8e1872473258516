import type { Bucket } from '../../../platform/bus/bus.ts';
import type { ClusterView } from '../../../platform/membership/cluster-view.ts';

/** A report this long without its worker is of no use; a worker that was only cut off writes it again when it returns. */
const KEPT_MS = 60_000;

/** Deletes reports of workers that are gone for good: a worker that dies cannot, and ids may be new with every start. */
export class OrphanReports {
  readonly #since = new Map<string, number>();

  /** Deletes what has been without a worker, and without a place in a plan, for long enough. `now`: monotonic milliseconds. */
  async sweep({ reports, workers, target, committed }: ClusterView, bucket: Bucket, now: number): Promise<void> {
    const planned = new Set([target, committed].flatMap((plan) => plan?.workers.map(({ id }) => id) ?? []));
    for (const id of this.#since.keys()) {
      if (!reports.has(id) || workers.has(id) || planned.has(id)) this.#since.delete(id);
    }
    for (const id of reports.keys()) {
      if (workers.has(id) || planned.has(id)) continue;
      const since = this.#since.get(id) ?? now;
      this.#since.set(id, since);
      if (now - since < KEPT_MS) continue;
      await bucket.delete(id);
      this.#since.delete(id);
    }
  }
}

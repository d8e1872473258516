import type { Clock } from '../../../platform/process/clock.ts';
import type { ClusterSight } from './cluster-picture.ts';

/** Milliseconds for which a refusal is remembered: to find it takes two plans, and a blocked object is looked at again and again. */
const REMEMBERED_MS = 5_000;

/** A cluster that does not plan each time to find that a worker still cannot be drained. */
export function withRememberedRefusals(cluster: ClusterSight, clock: Clock): ClusterSight {
  const known = new Map<string, { readonly reasons: readonly string[]; readonly at: number }>();
  const drainRefusals = (worker: string): readonly string[] => {
    const last = known.get(worker);
    if (last !== undefined && clock.now() - last.at < REMEMBERED_MS) return last.reasons;
    known.delete(worker);
    const reasons = cluster.managed().drainRefusals(worker);
    if (reasons.length > 0) known.set(worker, { reasons, at: clock.now() });
    return reasons;
  };
  return {
    get view() {
      return cluster.view;
    },
    status: () => cluster.status(),
    obstacles: () => cluster.obstacles(),
    managed: () => ({ drainRefusals }),
  };
}

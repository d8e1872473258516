/**
 * Plans never go back to a lower epoch, and members follow none. A bus that lost its data while every controller was away
 * leaves nobody who knows the last epoch but the workers, who say in their reports which plan they follow.
 */
import type { ClusterView } from '../../../platform/membership/cluster-view.ts';
import type { PlacementPlan } from '../../../proto/messages.ts';

/** More plans than can have been made that the workers heard from so far do not know of. */
const UNHEARD = 1_000;

/** Highest epoch that a worker says it follows; 0 before the first report. */
function highestFollowed({ reports }: Pick<ClusterView, 'reports'>): number {
  let highest = 0;
  for (const { epoch, routesEpoch } of reports.values()) {
    for (const followed of [epoch, routesEpoch]) {
      if (Number.isSafeInteger(followed + UNHEARD)) highest = Math.max(highest, followed);
    }
  }
  return highest;
}

/** Least epoch of a plan that all members will follow: above the target's, or above what they follow without one. */
export function leastEpoch(view: Pick<ClusterView, 'reports' | 'target'>): number {
  const followed = highestFollowed(view);
  const known = view.target?.epoch ?? 0;
  return followed > known ? followed + UNHEARD : known + 1;
}

/** The target plan under an epoch that all members will follow; null while the one it has is such. */
export function overtakingPlan(view: Pick<ClusterView, 'reports' | 'target'>, term: number): PlacementPlan | null {
  const { target } = view;
  if (target === null || highestFollowed(view) <= target.epoch) return null;
  return { ...target, epoch: leastEpoch(view), term };
}

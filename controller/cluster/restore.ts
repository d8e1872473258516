import type { Bucket } from '../../proto/bus/bus.ts';
import { COMMITTED_PLAN, CONSTRAINTS, TARGET_PLAN } from '../../proto/bus/subjects.ts';
import type { ClusterView } from '../../proto/cluster-view.ts';
import { conclave, encode } from '../../proto/messages.ts';

/**
 * Puts back one thing that a bus that was restarted without its data has forgotten. Returns whether there was one: then what
 * was decided from is old.
 */
export async function restoreForgotten(view: ClusterView, plans: Bucket, control: Bucket): Promise<boolean> {
  if (view.constraints !== null && view.constraints.revision === 0) {
    await control.create(CONSTRAINTS, encode(conclave.ClusterConstraints, view.constraints.value));
    return true;
  }
  if (view.target !== null && view.targetRevision === 0) {
    await plans.create(TARGET_PLAN, encode(conclave.PlacementPlan, view.target));
    return true;
  }
  if (view.committed !== null && view.committedRevision === 0) {
    await plans.create(COMMITTED_PLAN, encode(conclave.PlacementPlan, view.committed));
    return true;
  }
  return false;
}

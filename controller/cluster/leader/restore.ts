import type { Bucket } from '../../../platform/bus/bus.ts';
import { COMMITTED_PLAN, CONSTRAINTS, TARGET_PLAN } from '../../../platform/bus/subjects.ts';
import type { ClusterView } from '../../../platform/membership/cluster-view.ts';
import type { Asked__Output as Asked } from '../../../proto/generated/conclave/v1/Asked.ts';
import type { ClusterConstraints__Output as ClusterConstraints } from '../../../proto/generated/conclave/v1/ClusterConstraints.ts';
import type { WorkerRequest__Output as WorkerRequest } from '../../../proto/generated/conclave/v1/WorkerRequest.ts';
import { conclave, encode } from '../../../proto/messages.ts';

/** Revisions begin at 1 again on such a bus: what was asked for before is older than any plan. */
function settled(constraints: ClusterConstraints): ClusterConstraints {
  const old = (asked: Asked | null): Asked | null => asked && { ...asked, replacedRevision: 0 };
  const ofWorker = (request: WorkerRequest): WorkerRequest => ({ ...request, asked: old(request.asked) });
  return {
    ...constraints,
    defaultAsked: old(constraints.defaultAsked),
    overrides: constraints.overrides.map((override) => ({ ...override, asked: old(override.asked) })),
    draining: constraints.draining.map(ofWorker),
    cordoned: constraints.cordoned.map(ofWorker),
    changes: [],
  };
}

/**
 * Puts back one thing that a bus that was restarted without its data has forgotten. Returns whether there was one: then what
 * was decided from is old.
 */
export async function restoreForgotten(view: ClusterView, plans: Bucket, control: Bucket): Promise<boolean> {
  if (view.constraints !== null && view.constraints.revision === 0) {
    await control.create(CONSTRAINTS, encode(conclave.ClusterConstraints, settled(view.constraints.value)));
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

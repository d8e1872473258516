import type { ClusterEvent__Output as ClusterEvent } from '../../proto/generated/conclave/v1/ClusterEvent.ts';
import type { PlanningState__Output as PlanningState } from '../../proto/generated/conclave/v1/PlanningState.ts';
import type { PlacementPlan } from '../../proto/messages.ts';
import { byWhom } from './plan-reason.ts';
import { type ClusterRequest, requestKey, unmet, whyPending } from './requests.ts';

export interface PendingInput {
  readonly requests: readonly ClusterRequest[];
  readonly target: PlacementPlan | null;
  readonly committed: PlacementPlan | null;
  readonly planning: PlanningState;
}

/**
 * Keys of the requests that wait now, and events for those that have begun to and for those that waited and are in force. A
 * request waits from the moment that the newest plan does not give it until a plan that does is in force: nothing that was
 * asked for long ago comes into force without a word.
 */
export function pendingRequests({ requests, target, committed, planning }: PendingInput): {
  readonly pending: readonly string[];
  readonly events: readonly Omit<ClusterEvent, 'atMs' | 'count'>[];
} {
  const before = new Set(planning.pending);
  const keys = requests.map(requestKey);
  const without = target === null ? new Set<string>() : unmet(target, requests);
  const notYet = committed === null ? new Set(keys) : unmet(committed, requests);
  const waits = (key: string): boolean => without.has(key) || (before.has(key) && notYet.has(key));
  const events = requests.flatMap((request) => {
    const key = requestKey(request);
    const what = `${request.what}${asked(request)}`;
    if (waits(key) && !before.has(key)) {
      const message = `${what} is pending: ${whyPending(planning)}`;
      return [{ code: 'REQUEST_PENDING', severity: 'warning', subject: 'requests', message }];
    }
    if (waits(key) || !before.has(key)) return [];
    const message = `${what} was pending and is in force with plan ${committed?.epoch ?? 0}`;
    return [{ code: 'REQUEST_IN_FORCE', severity: 'info', subject: 'requests', message }];
  });
  return { pending: keys.filter(waits), events };
}

/** What a plan gives that had to wait, as an end of its reason; empty when that is nothing. */
export function nowPossible(
  plan: PlacementPlan,
  requests: readonly ClusterRequest[],
  pending: readonly string[],
): string {
  const without = unmet(plan, requests);
  const waited = new Set(pending);
  const given = requests.filter((request) => {
    const key = requestKey(request);
    return waited.has(key) && !without.has(key);
  });
  return given.map((request) => `; now possible: ${request.what}${asked(request)}`).join('');
}

function asked({ asked: request }: ClusterRequest): string {
  return request === null ? '' : ` (asked for${byWhom(request)} at ${new Date(request.atMs).toISOString()})`;
}

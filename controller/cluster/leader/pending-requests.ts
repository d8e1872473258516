import type { ClusterView } from '../../../platform/membership/cluster-view.ts';
import type { ClusterEvent__Output as ClusterEvent } from '../../../proto/generated/conclave/v1/ClusterEvent.ts';
import type { PlanningState__Output as PlanningState } from '../../../proto/generated/conclave/v1/PlanningState.ts';
import type { ModelSpec, PlacementPlan } from '../../../proto/messages.ts';
import type { EventLog } from '../events/events.ts';
import { byWhom } from '../requests/plan-reason.ts';
import { type ClusterRequest, clusterRequests, requestKey, unmet, whyPending } from '../requests/requests.ts';
import type { PlanningRecord } from './planning-record.ts';

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

export interface PendingRequestsOptions {
  readonly spec: ModelSpec;
  /** Replicas of every expert while operators asked for nothing. */
  readonly defaultReplicas: number;
  readonly view: ClusterView;
  readonly record: PlanningRecord;
  readonly events: EventLog;
}

/** What the leader does about requests that have to wait: it keeps which they are, and every change is an event. */
export class PendingRequests {
  readonly #options: PendingRequestsOptions;
  #lookedAt = '';

  constructor(options: PendingRequestsOptions) {
    this.#options = options;
  }

  /** Looks at the plans that were made for what is there and asked now. */
  look(): void {
    const { view, record, events: log } = this.#options;
    const { target, committed, constraints } = view;
    const { state } = record;
    const lookedAt = [target?.epoch, committed?.epoch, constraints?.revision, state.problems.join()].join(' ');
    if (lookedAt === this.#lookedAt) return;
    this.#lookedAt = lookedAt;
    const { pending, events } = pendingRequests({ requests: this.#requests(), target, committed, planning: state });
    record.set({ pending: [...pending] });
    for (const event of events) log.publish(event);
  }

  /** See the function of this name. */
  nowPossible(plan: PlacementPlan): string {
    return nowPossible(plan, this.#requests(), this.#options.record.state.pending);
  }

  #requests(): readonly ClusterRequest[] {
    const { spec, defaultReplicas, view } = this.#options;
    return clusterRequests(spec, defaultReplicas, view.constraints?.value ?? null);
  }
}

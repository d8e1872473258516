/**
 * What operators asked for and did not take back, beside what there is. A request is kept until it is taken back: what no
 * plan can give now is pending, and comes into force as soon as one can.
 */
import type { ClusterView } from '../../../platform/membership/cluster-view.ts';
import type { Asked__Output as Asked } from '../../../proto/generated/conclave/v1/Asked.ts';
import type { ClusterConstraints__Output as ClusterConstraints } from '../../../proto/generated/conclave/v1/ClusterConstraints.ts';
import type { ExpertId__Output as ExpertId } from '../../../proto/generated/conclave/v1/ExpertId.ts';
import type { PlanningState__Output as PlanningState } from '../../../proto/generated/conclave/v1/PlanningState.ts';
import type { RequestStatus } from '../../../proto/generated/conclave/v1/RequestStatus.ts';
import type { ModelSpec, PlacementPlan } from '../../../proto/messages.ts';
import { expertCount } from '../../../proto/model/operators.ts';
import { expertKey } from './constraints.ts';

/** Experts that are named one by one. */
const NAMED = 4;

/** One thing asked for. */
export interface ClusterRequest {
  readonly kind: 'replicas' | 'drain' | 'cordon';
  /** In words. */
  readonly what: string;
  /** Null for what the controllers' flags say. */
  readonly asked: Asked | null;
  /** Copies wanted; 0 for other kinds. */
  readonly replicas: number;
  /** Empty: every expert that no other request names. */
  readonly experts: readonly ExpertId[];
  /** The experts that the count is for, by layer. */
  readonly covered: ReadonlyMap<number, readonly number[]>;
  readonly workerId: string;
}

/** Copies of every expert, by layer: [experts]. */
export type ReplicaCounts = ReadonlyMap<number, readonly number[]>;

/** Everything that is asked for now; `defaultReplicas` is what flags say. */
export function clusterRequests(
  spec: ModelSpec,
  defaultReplicas: number,
  constraints: ClusterConstraints | null,
): readonly ClusterRequest[] {
  const overrides = constraints?.overrides ?? [];
  const named = new Set(overrides.flatMap(({ experts }) => experts.map(expertKey)));
  const layers = spec.layers.map(expertCount);
  const every = new Map(
    layers.flatMap((count, layer) => {
      const experts = Array.from({ length: count }, (_, expert) => expert);
      const free = experts.filter((expert) => !named.has(expertKey({ layer, expert })));
      return free.length > 0 ? [[layer, free] as const] : [];
    }),
  );
  const all = constraints?.defaultReplicas || defaultReplicas;
  const none = { replicas: 0, experts: [], covered: new Map(), workerId: '' };
  const everyone: ClusterRequest = {
    ...none,
    kind: 'replicas',
    what: `${copies(all)} of every ${named.size > 0 ? 'other ' : ''}expert`,
    asked: constraints?.defaultAsked ?? null,
    replicas: all,
    covered: every,
  };
  return [
    ...(every.size > 0 ? [everyone] : []),
    ...overrides.map(
      ({ replicas, experts, asked }): ClusterRequest => ({
        ...none,
        kind: 'replicas',
        what: `${copies(replicas)} of ${expertsText(experts)}`,
        asked,
        replicas,
        experts,
        covered: byLayer(experts),
      }),
    ),
    ...(['drain', 'cordon'] as const).flatMap(
      (kind) =>
        (kind === 'drain' ? constraints?.draining : constraints?.cordoned)?.map(
          ({ workerId, asked }): ClusterRequest => ({ ...none, kind, what: `${kind} ${workerId}`, asked, workerId }),
        ) ?? [],
    ),
  ];
}

/** Names a request among others, over restarts too. Later requests may take experts from it: it is the same all the same. */
export function requestKey({ kind, workerId, asked }: ClusterRequest): string {
  return `${kind}/${workerId}/${asked?.atMs ?? 0}/${asked?.by ?? ''}`;
}

/** Whether a plan gives what is asked for. */
export function gives(plan: PlacementPlan, request: ClusterRequest, counts = plannedReplicas(plan)): boolean {
  if (plan.constraintsRevision <= (request.asked?.replacedRevision ?? -1)) return false;
  if (request.kind === 'drain') return plan.workers.every(({ id }) => id !== request.workerId);
  return request.kind === 'cordon' || spread(request, counts).least >= request.replicas;
}

/** Keys of the requests that a plan does not give. */
export function unmet(plan: PlacementPlan, requests: readonly ClusterRequest[]): ReadonlySet<string> {
  const counts = plannedReplicas(plan);
  return new Set(requests.filter((request) => !gives(plan, request, counts)).map(requestKey));
}

export function plannedReplicas(plan: PlacementPlan): ReplicaCounts {
  return new Map(
    plan.experts.map(({ layer, slices, expert, slice }) => {
      const units = new Map<number, number>();
      expert.forEach((logical, i) => {
        const unit = logical * slices + (slice[i] ?? 0);
        units.set(unit, (units.get(unit) ?? 0) + 1);
      });
      return [layer, whole(units, slices)];
    }),
  );
}

/** Copies that workers which are there say they hold. */
export function heldReplicas({ workers, reports }: Pick<ClusterView, 'workers' | 'reports'>): ReplicaCounts {
  const layers = new Map<number, { readonly slices: number; readonly units: Map<number, number> }>();
  for (const { id, startedAtMs, held } of reports.values()) {
    if (workers.get(id)?.startedAtMs !== startedAtMs) continue;
    for (const { layer, slices, sliceIds } of held) {
      const entry = layers.get(layer) ?? { slices, units: new Map<number, number>() };
      layers.set(layer, entry);
      for (const unit of sliceIds) entry.units.set(unit, (entry.units.get(unit) ?? 0) + 1);
    }
  }
  return new Map([...layers].map(([layer, { slices, units }]) => [layer, whole(units, slices)]));
}

/** Requests beside what there is, for status. */
export function requestStatuses(
  requests: readonly ClusterRequest[],
  view: Pick<ClusterView, 'target' | 'committed' | 'workers' | 'reports'>,
  planning: PlanningState | null,
): RequestStatus[] {
  const { target, committed } = view;
  const held = heldReplicas(view);
  const planned = { target: countsOf(target), committed: countsOf(committed) };
  const reason = whyPending(planning);
  return requests.map((request) => {
    const { kind, what, asked, experts, workerId, replicas } = request;
    const inForce = committed !== null && gives(committed, request, planned.committed);
    const coming = target !== null && gives(target, request, planned.target);
    const { least, most } = spread(request, held);
    return {
      kind,
      what,
      state:
        inForce && coming ? 'REQUEST_STATE_IN_FORCE' : coming ? 'REQUEST_STATE_ROLLING_OUT' : 'REQUEST_STATE_PENDING',
      reason: coming ? '' : reason,
      asked,
      experts: [...experts],
      workerId,
      wanted: replicas,
      actualLeast: least,
      actualMost: most,
    };
  });
}

/** Why requests wait, as the leader found. */
export function whyPending(planning: PlanningState | null): string {
  const { problems = [], shortfalls = [], leftOut = [] } = planning ?? {};
  const failed = leftOut.filter(({ retrying }) => !retrying).map(({ reason }) => reason);
  const reasons = [...problems, ...shortfalls, ...failed];
  return reasons.length > 0 ? reasons.join('; ') : 'no plan for it yet';
}

/** "2 copies". */
export function copies(replicas: number): string {
  return `${replicas} ${replicas === 1 ? 'replica' : 'replicas'}`;
}

/** "layer 0 expert 3", "4 experts (layer 0: 3, 17; layer 1: 2, 5)". */
export function expertsText(experts: readonly ExpertId[]): string {
  const [only] = experts;
  if (experts.length === 1 && only !== undefined) return `layer ${only.layer} expert ${only.expert}`;
  const first = [...byLayer(experts.slice(0, NAMED))].map(([layer, ids]) => `layer ${layer}: ${ids.join(', ')}`);
  const more = experts.length > NAMED ? `; and ${experts.length - NAMED} more` : '';
  return `${experts.length} experts (${first.join('; ')}${more})`;
}

function byLayer(experts: readonly ExpertId[]): ReadonlyMap<number, readonly number[]> {
  const layers = new Map<number, number[]>();
  for (const { layer, expert } of experts) layers.set(layer, [...(layers.get(layer) ?? []), expert]);
  return layers;
}

function countsOf(plan: PlacementPlan | null): ReplicaCounts {
  return plan === null ? new Map() : plannedReplicas(plan);
}

/** Fewest and most copies of the experts that a request is about. */
function spread({ covered }: ClusterRequest, counts: ReplicaCounts): { readonly least: number; readonly most: number } {
  let [least, most] = [Number.POSITIVE_INFINITY, 0];
  for (const [layer, experts] of covered) {
    for (const expert of experts) {
      const count = counts.get(layer)?.[expert] ?? 0;
      least = Math.min(least, count);
      most = Math.max(most, count);
    }
  }
  return { least: Number.isFinite(least) ? least : 0, most };
}

/** An expert is there as often as the slice of it that is there least often. [experts] */
function whole(units: ReadonlyMap<number, number>, slices: number): readonly number[] {
  const experts = Math.floor(Math.max(-1, ...units.keys()) / slices) + 1;
  return Array.from({ length: experts }, (_, expert) =>
    Math.min(...Array.from({ length: slices }, (_, slice) => units.get(expert * slices + slice) ?? 0)),
  );
}

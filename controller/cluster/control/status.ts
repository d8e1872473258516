import type { BusConnection } from '../../../platform/bus/bus.ts';
import type { ClusterView } from '../../../platform/membership/cluster-view.ts';
import type { GetStatusResponse } from '../../../proto/generated/conclave/v1/GetStatusResponse.ts';
import type { LatencySummary } from '../../../proto/generated/conclave/v1/LatencySummary.ts';
import type { RolloutStatus } from '../../../proto/generated/conclave/v1/RolloutStatus.ts';
import type { ModelSpec, PlacementPlan } from '../../../proto/messages.ts';
import type { EventLog } from '../events/events.ts';
import { rolloutStep } from '../leader/rollout.ts';
import type { ActivityBook } from '../load/activity.ts';
import { type ExpertLoadBook, imbalance, workerRates } from '../load/expert-load.ts';
import { slotsPerMinute } from '../load/rebalance-trigger.ts';
import { clusterRequests, requestStatuses } from '../requests/requests.ts';
import type { Roster } from '../roster/roster.ts';
import { workerStatuses } from './worker-status.ts';

export interface StatusInput {
  readonly spec: ModelSpec;
  /** Replicas of every expert while operators asked for nothing. */
  readonly defaultReplicas: number;
  /** Whether load alone is a reason for a plan. */
  readonly rebalance: 'auto' | 'off';
  /** Workers without which the first plan is not made. */
  readonly minWorkers: number;
  readonly view: ClusterView;
  readonly roster: Pick<Roster, 'get' | 'entries' | 'heldForMs'>;
  readonly load: ExpertLoadBook;
  readonly activity: ActivityBook;
  readonly events: EventLog;
  readonly bus: BusConnection;
  /** Milliseconds since the epoch. */
  readonly wallClock: () => number;
  /** Of tokens sent lately; null without any. */
  readonly latency: LatencySummary | null;
  /** Failures counted here since the start, by code. */
  readonly failures: Readonly<Record<string, number>>;
}

const EVENTS = 30;

/** The cluster in one message: what SREs and tools look at. */
export function clusterStatus(input: StatusInput): GetStatusResponse {
  const { spec, view, load, events, activity } = input;
  const { target, committed, constraints, planning } = view;
  const inForce = committed ?? target;
  const requests = clusterRequests(spec, input.defaultReplicas, constraints?.value ?? null);
  const activities = [...view.workers.keys()].flatMap((id) => activity.of(id) ?? []);
  const layers = (load.rates() ?? []).map(({ layer, expertRows }) => ({
    layer,
    expertRows: [...expertRows],
    imbalance: inForce === null ? 1 : imbalance(inForce, { layer, expertRows }),
  }));
  const total = (key: 'tokensPerSecond' | 'running' | 'waiting'): number =>
    activities.reduce((sum, entry) => sum + entry[key], 0);
  return {
    model: spec.name,
    plan: planSummary(inForce),
    rollout: rolloutStatus(view, noPlanReasons(view, input.roster, input.minWorkers)),
    workers: workerStatuses(view, input.roster, {
      activityOf: (id) => activity.of(id),
      rates: inForce === null ? new Map() : workerRates(inForce, load.rates() ?? []),
    }),
    leader: view.lease?.controllerId ?? '',
    bus: input.bus === 'connected' ? 'BUS_STATE_CONNECTED' : 'BUS_STATE_RECONNECTING',
    load: layers,
    events: [...events.recent(EVENTS)],
    failures: { ...input.failures },
    requests: requestStatuses(requests, view, planning),
    atMs: input.wallClock(),
    tokensPerSecond: total('tokensPerSecond'),
    running: total('running'),
    waiting: total('waiting'),
    rebalance: {
      mode: input.rebalance,
      imbalance: layers.reduce((sum, layer) => sum + layer.imbalance, 0) / Math.max(1, layers.length),
      loadsPerMinute: input.rebalance === 'off' || inForce === null ? 0 : slotsPerMinute(inForce),
      last: planning?.rebalanced ?? null,
    },
    latency: input.latency,
  };
}

/** Why there is no plan for what is there and asked now; empty when there is one. */
export function noPlanReasons(
  { planning, target, workers }: Pick<ClusterView, 'planning' | 'target' | 'workers'>,
  roster: Pick<Roster, 'get'>,
  minWorkers: number,
): readonly string[] {
  const problems = planning?.problems ?? [];
  if (problems.length > 0) {
    const failed = planning?.leftOut.filter(({ retrying }) => !retrying) ?? [];
    return [...problems, ...failed.map(({ reason }) => `left out: ${reason}`)];
  }
  if (target !== null) return [];
  const entries = [...workers.keys()].map((id) => roster.get(id));
  const reached = entries.filter((entry) => entry?.standing === 'reached').length;
  const unreached = entries.flatMap((entry) =>
    entry?.standing === 'unreachable' ? [`${entry.worker.id} is not reached: ${entry.reason}`] : [],
  );
  const waiting = reached < minWorkers ? `waiting for ${minWorkers - reached} more` : 'the first plan is being made';
  return [`${reached} of ${minWorkers} workers: ${waiting}`, ...unreached];
}

function planSummary(plan: PlacementPlan | null): NonNullable<GetStatusResponse['plan']> {
  return {
    epoch: plan?.epoch ?? 0,
    reason: plan?.reason ?? '',
    slots: plan?.experts.reduce((sum, { expert }) => sum + expert.length, 0) ?? 0,
    pipelines: plan?.pipelines.length ?? 0,
  };
}

function rolloutStatus(view: ClusterView, problems: readonly string[]): RolloutStatus {
  const { target, committed, reports } = view;
  const error = problems.join('; ');
  if (target === null) return { phase: 'ROLLOUT_PHASE_UNSPECIFIED', epoch: 0, loadedBytes: 0, totalBytes: 0, error };
  const step = rolloutStep({ target, committed, reports });
  const waiting = step.kind === 'wait' ? step : { loadedBytes: 0, totalBytes: 0 };
  return {
    phase:
      step.kind !== 'complete'
        ? 'ROLLOUT_PHASE_LOADING'
        : target.rollbackCause === ''
          ? 'ROLLOUT_PHASE_COMPLETE'
          : 'ROLLOUT_PHASE_ROLLED_BACK',
    epoch: target.epoch,
    loadedBytes: waiting.loadedBytes,
    totalBytes: waiting.totalBytes,
    error: error || target.rollbackCause,
  };
}

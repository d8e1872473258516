import type { BusConnection } from '../../proto/bus/bus.ts';
import type { ClusterView } from '../../proto/cluster-view.ts';
import type { GetStatusResponse } from '../../proto/generated/conclave/v1/GetStatusResponse.ts';
import type { RolloutStatus } from '../../proto/generated/conclave/v1/RolloutStatus.ts';
import type { WorkerStatus } from '../../proto/generated/conclave/v1/WorkerStatus.ts';
import type { PlacementPlan } from '../../proto/messages.ts';
import type { EventLog } from './events.ts';
import { type ExpertLoadBook, imbalance } from './expert-load.ts';
import { rolloutStep } from './rollout.ts';

export interface StatusInput {
  readonly model: string;
  readonly view: ClusterView;
  readonly load: ExpertLoadBook;
  readonly events: EventLog;
  readonly bus: BusConnection;
  /** Why there is no plan for what is asked; empty when there is one. */
  readonly problems: readonly string[];
  /** Failures counted here since the start, by code. */
  readonly failures: Readonly<Record<string, number>>;
}

const EVENTS = 20;

/** The cluster in one message: what SREs and tools look at. */
export function clusterStatus(input: StatusInput): GetStatusResponse {
  const { view, load, events } = input;
  const { target, committed } = view;
  const inForce = committed ?? target;
  return {
    model: input.model,
    plan: planSummary(inForce),
    rollout: rolloutStatus(view, input.problems),
    workers: workerStatuses(view),
    leader: view.lease?.controllerId ?? '',
    bus: input.bus === 'connected' ? 'BUS_STATE_CONNECTED' : 'BUS_STATE_RECONNECTING',
    load: (load.rates() ?? []).map(({ layer, expertRows }) => ({
      layer,
      expertRows: [...expertRows],
      imbalance: inForce === null ? 1 : imbalance(inForce, { layer, expertRows }),
    })),
    events: [...events.recent(EVENTS)],
    failures: { ...input.failures },
  };
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
  const rolledBack = /^rolled back plan \d+: (.*)$/s.exec(target.reason)?.[1];
  const waiting = step.kind === 'wait' ? step : { loadedBytes: 0, totalBytes: 0 };
  return {
    phase:
      step.kind !== 'complete'
        ? 'ROLLOUT_PHASE_LOADING'
        : rolledBack === undefined
          ? 'ROLLOUT_PHASE_COMPLETE'
          : 'ROLLOUT_PHASE_ROLLED_BACK',
    epoch: target.epoch,
    loadedBytes: waiting.loadedBytes,
    totalBytes: waiting.totalBytes,
    error: error || (rolledBack ?? ''),
  };
}

/** Every worker that is there, and every one that a plan names and that is not. */
function workerStatuses(view: ClusterView): WorkerStatus[] {
  const planned = new Map<string, { readonly address: string; readonly weightBytes: number }>();
  for (const plan of [view.committed, view.target])
    for (const worker of plan?.workers ?? []) planned.set(worker.id, worker);
  const ids = [...new Set([...planned.keys(), ...view.workers.keys()])].sort();
  return ids.map((id) => {
    const worker = view.workers.get(id);
    const report = view.reports.get(id);
    const current = report !== undefined && report.startedAtMs === worker?.startedAtMs;
    return {
      id,
      address: worker?.address ?? planned.get(id)?.address ?? '',
      node: worker?.node ?? '',
      pid: worker?.pid ?? 0,
      roles: [...(worker?.roles ?? [])],
      state: worker === undefined ? 'WORKER_STATE_LOST' : current ? report.state : 'WORKER_STATE_IDLE',
      slots: current ? report.held.reduce((sum, { sliceIds }) => sum + sliceIds.length, 0) : 0,
      slotsWanted: current ? report.slotsWanted : 0,
      memoryBytes: worker?.memoryBytes ?? 0,
      weightBytes: planned.get(id)?.weightBytes ?? 0,
      error: current ? report.error : '',
    };
  });
}

import type { ClusterView } from '../../proto/cluster-view.ts';
import type { LeftOutWorker__Output as LeftOutWorker } from '../../proto/generated/conclave/v1/LeftOutWorker.ts';
import type { WorkerActivity__Output as WorkerActivity } from '../../proto/generated/conclave/v1/WorkerActivity.ts';
import type { WorkerAnnouncement__Output as WorkerAnnouncement } from '../../proto/generated/conclave/v1/WorkerAnnouncement.ts';
import type { WorkerReport__Output as WorkerReport } from '../../proto/generated/conclave/v1/WorkerReport.ts';
import type { WorkerStatus } from '../../proto/generated/conclave/v1/WorkerStatus.ts';
import { asksOf, noConstraints } from './constraints.ts';

/** Every worker that is there, and every one that a plan names and that is not. */
export function workerStatuses(
  view: ClusterView,
  {
    activityOf,
    rates,
  }: {
    readonly activityOf: (workerId: string) => WorkerActivity | null;
    /** Rows per second by worker id. */
    readonly rates: ReadonlyMap<string, number>;
  },
): WorkerStatus[] {
  const planned = new Map<string, { readonly address: string; readonly weightBytes: number }>();
  for (const plan of [view.committed, view.target])
    for (const worker of plan?.workers ?? []) planned.set(worker.id, worker);
  const ids = [...new Set([...planned.keys(), ...view.workers.keys()])].sort();
  const { draining, cordoned } = view.constraints?.value ?? noConstraints;
  return ids.map((id) => {
    const worker = view.workers.get(id);
    const latest = view.reports.get(id);
    const report = latest !== undefined && latest.startedAtMs === worker?.startedAtMs ? latest : null;
    const leftOut = view.planning?.leftOut.find(
      ({ workerId, startedAtMs, retrying }) => workerId === id && startedAtMs === worker?.startedAtMs && !retrying,
    );
    const slots = report?.held.reduce((sum, { sliceIds }) => sum + sliceIds.length, 0) ?? 0;
    const leaves = asksOf(draining, id) || (worker?.draining ?? false);
    return {
      id,
      address: worker?.address ?? planned.get(id)?.address ?? '',
      node: worker?.node ?? '',
      pid: worker?.pid ?? 0,
      roles: [...(worker?.roles ?? [])],
      state: workerState({ worker, report, leftOut, leaves, holds: planned.has(id) || slots > 0 }),
      slots,
      slotsWanted: report?.slotsWanted ?? 0,
      memoryBytes: worker?.memoryBytes ?? 0,
      weightBytes: planned.get(id)?.weightBytes ?? 0,
      error: errorOf(report, leftOut),
      cordoned: asksOf(cordoned, id),
      startedAtMs: worker?.startedAtMs ?? 0,
      activity: worker === undefined ? null : activityOf(id),
      rowsPerSecond: rates.get(id) ?? 0,
    };
  });
}

/** What decides on a worker's state. */
export interface WorkerCondition {
  /** Undefined: it is not there. */
  readonly worker: WorkerAnnouncement | undefined;
  /** Of the process that is there; null before it reported. */
  readonly report: Pick<WorkerReport, 'state'> | null;
  /** Why plans leave it out now, if they do. */
  readonly leftOut: LeftOutWorker | undefined;
  /** It, or an operator, asked that everything be moved off it. */
  readonly leaves: boolean;
  /** It has slots, or a plan names it. */
  readonly holds: boolean;
}

export function workerState({
  worker,
  report,
  leftOut,
  leaves,
  holds,
}: WorkerCondition): NonNullable<WorkerStatus['state']> {
  if (worker === undefined) return 'WORKER_STATE_LOST';
  if (leaves) return holds ? 'WORKER_STATE_DRAINING' : 'WORKER_STATE_DRAINED';
  if (leftOut !== undefined && (!leftOut.keeps || !holds)) return 'WORKER_STATE_FAILED';
  return report?.state ?? 'WORKER_STATE_IDLE';
}

function errorOf(report: WorkerReport | null, leftOut: LeftOutWorker | undefined): string {
  if (leftOut === undefined) return report?.error ?? '';
  const what = leftOut.keeps ? 'gets nothing new' : 'left out';
  return `${what}, tried again at ${new Date(leftOut.retryAtMs).toISOString()}: ${leftOut.reason}`;
}

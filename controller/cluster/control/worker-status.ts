import type { ClusterView } from '../../../platform/membership/cluster-view.ts';
import { formatDuration } from '../../../platform/process/quantities.ts';
import type { LeftOutWorker__Output as LeftOutWorker } from '../../../proto/generated/conclave/v1/LeftOutWorker.ts';
import type { MissingWorker__Output as MissingWorker } from '../../../proto/generated/conclave/v1/MissingWorker.ts';
import type { WorkerActivity__Output as WorkerActivity } from '../../../proto/generated/conclave/v1/WorkerActivity.ts';
import type { WorkerReport__Output as WorkerReport } from '../../../proto/generated/conclave/v1/WorkerReport.ts';
import type { WorkerStatus } from '../../../proto/generated/conclave/v1/WorkerStatus.ts';
import { asksOf, noConstraints } from '../requests/constraints.ts';
import type { Roster, RosterEntry } from '../roster/roster.ts';

/** Every worker that is there, and every one that is missed: because a plan names it, or because it was lost lately. */
export function workerStatuses(
  view: ClusterView,
  roster: Pick<Roster, 'get' | 'entries' | 'heldForMs'>,
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
  const missing = new Map(view.missing.value.map((worker) => [worker.workerId, worker]));
  const departed = [...roster.entries()].map(({ worker }) => worker.id);
  const ids = [...new Set([...planned.keys(), ...view.workers.keys(), ...missing.keys(), ...departed])].sort();
  const { draining, cordoned } = view.constraints?.value ?? noConstraints;
  return ids.map((id) => {
    const entry = roster.get(id);
    const listed = missing.get(id);
    const worker = view.workers.get(id) ?? entry?.worker;
    const absence = absenceOf(entry, listed, view.workers.has(id));
    const lost = absence?.state === 'WORKER_STATE_LOST';
    const latest = view.reports.get(id);
    const report = latest !== undefined && latest.startedAtMs === worker?.startedAtMs ? latest : null;
    const leftOut = view.planning?.leftOut.find(
      ({ workerId, startedAtMs, retrying }) => workerId === id && startedAtMs === worker?.startedAtMs && !retrying,
    );
    const slots = lost ? 0 : (report?.held.reduce((sum, { sliceIds }) => sum + sliceIds.length, 0) ?? 0);
    const leaves = asksOf(draining, id) || (worker?.draining ?? false);
    return {
      id,
      address: worker?.address ?? planned.get(id)?.address ?? listed?.address ?? '',
      node: worker?.node ?? listed?.node ?? '',
      pid: worker?.pid ?? 0,
      roles: [...(worker?.roles ?? [])],
      state: absence?.state ?? workerState({ report, leftOut, leaves, holds: planned.has(id) || slots > 0 }),
      slots,
      slotsWanted: report?.slotsWanted ?? 0,
      memoryBytes: worker?.memoryBytes ?? 0,
      weightBytes: planned.get(id)?.weightBytes ?? 0,
      error: absence?.reason ?? (errorOf(report, leftOut) || heldText(planned.has(id) ? 0 : roster.heldForMs(id))),
      cordoned: asksOf(cordoned, id),
      startedAtMs: lost ? 0 : (worker?.startedAtMs ?? 0),
      activity: lost ? null : activityOf(id),
      rowsPerSecond: rates.get(id) ?? 0,
      missingSinceMs: absence?.sinceMs ?? 0,
      device: worker?.device ?? '',
      gpu: worker?.gpu ?? null,
    };
  });
}

interface Absence {
  readonly state: 'WORKER_STATE_LOST' | 'WORKER_STATE_UNREACHABLE';
  readonly sinceMs: number;
  readonly reason: string;
}

/** Why a worker is not there: as this controller sees it, or else as the leader has it. */
function absenceOf(
  entry: RosterEntry | undefined,
  listed: MissingWorker | undefined,
  announced: boolean,
): Absence | null {
  if (entry?.standing === 'lost') return { ...entry, state: 'WORKER_STATE_LOST' };
  if (entry?.standing === 'unreachable') return { ...entry, state: 'WORKER_STATE_UNREACHABLE' };
  if (announced) return null;
  const { sinceMs = 0, reason = 'it sends no heartbeats' } = listed ?? {};
  return { state: 'WORKER_STATE_LOST', sinceMs, reason };
}

/** What decides on the state of a worker that is there. */
export interface WorkerCondition {
  /** Of the process that is there; null before it reported. */
  readonly report: Pick<WorkerReport, 'state'> | null;
  /** Why plans leave it out now, if they do. */
  readonly leftOut: LeftOutWorker | undefined;
  /** It, or an operator, asked that everything be moved off it. */
  readonly leaves: boolean;
  /** It has slots, or a plan names it. */
  readonly holds: boolean;
}

export function workerState({ report, leftOut, leaves, holds }: WorkerCondition): NonNullable<WorkerStatus['state']> {
  if (leaves) return holds ? 'WORKER_STATE_DRAINING' : 'WORKER_STATE_DRAINED';
  if (leftOut !== undefined && (!leftOut.keeps || !holds)) return 'WORKER_STATE_FAILED';
  return report?.state ?? 'WORKER_STATE_IDLE';
}

function errorOf(report: WorkerReport | null, leftOut: LeftOutWorker | undefined): string {
  if (leftOut === undefined) return report?.error ?? '';
  const what = leftOut.keeps ? 'gets nothing new' : 'left out';
  return `${what}, tried again at ${new Date(leftOut.retryAtMs).toISOString()}: ${leftOut.reason}`;
}

function heldText(ms: number): string {
  return ms === 0
    ? ''
    : `was lost again and again: gets something again in ${formatDuration(Math.ceil(ms / 1_000) * 1_000)}`;
}

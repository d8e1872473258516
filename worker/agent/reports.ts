import type { WorkerReport } from '../../proto/generated/conclave/v1/WorkerReport.ts';
import type { PlacementPlan } from '../../proto/messages.ts';
import type { WorkerSession } from '../../proto/worker-session.ts';
import type { HeldSlices } from '../plan/expert-routes.ts';
import { plannedRanks } from '../plan/plan-slots.ts';
import type { ExpertProgress } from './expert-agent.ts';

export interface ReportInput {
  readonly workerId: string;
  readonly startedAtMs: number;
  readonly draining: boolean;
  readonly target: PlacementPlan | null;
  readonly experts: ExpertProgress;
  readonly held: readonly HeldSlices[];
  /** Pipelines whose rank here is ready for the target plan. */
  readonly readyPipelines: readonly string[];
  /** Why a rank could not be made ready; null while none failed. */
  readonly stageError: string | null;
  readonly routesEpoch: number;
  /** Workers that answer a stage here. */
  readonly reached: readonly WorkerSession[];
}

/** What a worker reports of itself to the leader and the stages. */
export function workerReport(input: ReportInput): WorkerReport {
  const { workerId: id, target, experts, held, readyPipelines, startedAtMs, routesEpoch } = input;
  const wantedPipelines = target === null ? [] : plannedRanks(target, id).map(({ pipeline }) => pipeline);
  const wanted = target?.workers.some((worker) => worker.id === id) ?? false;
  const current = target !== null && experts.epoch === target.epoch;
  const error = current ? (experts.error ?? input.stageError) : null;
  const ready =
    current &&
    experts.slotsReady === experts.slotsWanted &&
    wantedPipelines.every((pipeline) => readyPipelines.includes(pipeline));
  return {
    id,
    epoch: experts.epoch,
    state: stateOf(input.draining, wanted, error, ready),
    slotsReady: experts.slotsReady,
    slotsWanted: experts.slotsWanted,
    loadedBytes: experts.loadedBytes,
    totalBytes: experts.totalBytes,
    error: error ?? '',
    held: held.map(({ layer, slices, sliceIds }) => ({ layer, slices, sliceIds: [...sliceIds] })),
    startedAtMs,
    routesEpoch,
    readyPipelines: [...readyPipelines],
    reached: [...input.reached],
  };
}

function stateOf(
  draining: boolean,
  wanted: boolean,
  error: string | null,
  ready: boolean,
): NonNullable<WorkerReport['state']> {
  if (error !== null) return 'WORKER_STATE_FAILED';
  if (draining) return 'WORKER_STATE_DRAINING';
  if (!wanted) return 'WORKER_STATE_IDLE';
  return ready ? 'WORKER_STATE_READY' : 'WORKER_STATE_LOADING';
}

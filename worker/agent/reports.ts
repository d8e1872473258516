import type { ExpertSlot } from '../../native/native.ts';
import type { WorkerReport } from '../../proto/generated/conclave/v1/WorkerReport.ts';
import type { PlacementPlan } from '../../proto/messages.ts';
import type { ExpertProgress } from './expert-agent.ts';
import { plannedRanks } from './plan-slots.ts';

export interface ReportInput {
  readonly workerId: string;
  readonly startedAtMs: number;
  readonly draining: boolean;
  readonly target: PlacementPlan | null;
  readonly experts: ExpertProgress;
  readonly held: readonly ExpertSlot[];
  /** Pipelines whose rank here is ready for the target plan. */
  readonly readyPipelines: readonly string[];
  /** Why a rank could not be made ready; null while none failed. */
  readonly stageError: string | null;
  readonly routesEpoch: number;
}

/** What a worker tells the leader and the stages of itself. */
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
    held: heldByLayer(held),
    startedAtMs,
    routesEpoch,
    readyPipelines: [...readyPipelines],
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

/** Slots as reports and routes list them. */
export function heldByLayer(held: readonly ExpertSlot[]): { layer: number; slices: number; sliceIds: number[] }[] {
  const layers = new Map<number, { slices: number; sliceIds: number[] }>();
  for (const { layer, expert, slice, slices } of held) {
    const entry = layers.get(layer) ?? { slices, sliceIds: [] };
    entry.sliceIds.push(expert * slices + slice);
    layers.set(layer, entry);
  }
  return [...layers].map(([layer, { slices, sliceIds }]) => ({
    layer,
    slices,
    sliceIds: sliceIds.sort((a, b) => a - b),
  }));
}

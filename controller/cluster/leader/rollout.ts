import type { WorkerReport__Output as WorkerReport } from '../../../proto/generated/conclave/v1/WorkerReport.ts';
import type { PlacementPlan } from '../../../proto/messages.ts';

/** What a rollout is decided from. */
export interface RolloutView {
  /** What workers work towards. */
  readonly target: PlacementPlan;
  /** What has been in force everywhere; null before the first plan was. */
  readonly committed: PlacementPlan | null;
  /** Latest report of each worker. */
  readonly reports: ReadonlyMap<string, WorkerReport>;
}

/** What to do next about a rollout. */
export type RolloutStep =
  | { readonly kind: 'complete' }
  | {
      readonly kind: 'wait';
      readonly loadedBytes: number;
      readonly totalBytes: number;
      readonly waitingFor: readonly string[];
    }
  | { readonly kind: 'commit' }
  | { readonly kind: 'fail'; readonly workerId: string; readonly reason: string };

/**
 * Make before break: a plan is committed when every worker that it names is ready for it, and given up as soon as one says
 * that it cannot carry it out. A worker that is silent only makes the rollout wait: membership decides whether it is lost.
 */
export function rolloutStep({ target, committed, reports }: RolloutView): RolloutStep {
  if (committed !== null && committed.epoch === target.epoch) return { kind: 'complete' };
  const waitingFor: string[] = [];
  let loadedBytes = 0;
  let totalBytes = 0;
  for (const { id } of target.workers) {
    const report = reports.get(id);
    if (report === undefined || report.epoch !== target.epoch) {
      waitingFor.push(id);
      continue;
    }
    if (report.state === 'WORKER_STATE_FAILED') {
      return {
        kind: 'fail',
        workerId: id,
        reason: `worker ${id} cannot carry out plan ${target.epoch}: ${report.error}`,
      };
    }
    if (report.state !== 'WORKER_STATE_READY') waitingFor.push(id);
    loadedBytes += report.loadedBytes;
    totalBytes += report.totalBytes;
  }
  return waitingFor.length === 0 ? { kind: 'commit' } : { kind: 'wait', loadedBytes, totalBytes, waitingFor };
}

/**
 * The plan that undoes a failed one: what was in force before, under an epoch that wins over the failed one. It carries out
 * what operators had asked for when it was made, and nothing that they asked for since.
 */
export function rollbackPlan(committed: PlacementPlan, failed: PlacementPlan, reason: string): PlacementPlan {
  return {
    ...committed,
    epoch: failed.epoch + 1,
    term: failed.term,
    reason: `rolled back plan ${failed.epoch}: ${reason}`,
    rollbackCause: reason,
  };
}

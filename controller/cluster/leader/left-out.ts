/**
 * Workers that could not carry out a plan. Plans leave them out, so that everything else goes on, and they are tried again
 * from time to time: after a longer while with each failure, at once when another process takes their place.
 */

import { formatDuration } from '../../../platform/process/quantities.ts';
import type { LeftOutWorker__Output as LeftOutWorker } from '../../../proto/generated/conclave/v1/LeftOutWorker.ts';
import type { PlacementPlan } from '../../../proto/messages.ts';
import { diffPlans } from '../../planner/diff.ts';
import type { Members } from '../roster/membership.ts';
import type { Restricted } from './plan-constraints.ts';

const FIRST_RETRY_MS = 30_000;
const LONGEST_RETRY_MS = 15 * 60_000;
/** Entries that are kept; the oldest are forgotten. */
const KEPT = 256;

/** Milliseconds after which a worker that failed so often is tried again. */
export function retryAfterMs(failures: number): number {
  return Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** (Math.max(1, failures) - 1));
}

/** With one more failure of a worker. `wallMs`: milliseconds since the epoch. */
export function withFailure(
  list: readonly LeftOutWorker[],
  failed: Pick<LeftOutWorker, 'workerId' | 'startedAtMs' | 'reason' | 'keeps'>,
  wallMs: number,
): LeftOutWorker[] {
  const before = list.find(({ workerId }) => workerId === failed.workerId);
  const failures = (before?.startedAtMs === failed.startedAtMs ? before.failures : 0) + 1;
  const entry = { ...failed, failures, retryAtMs: wallMs + retryAfterMs(failures), retrying: false };
  return [...list.filter((other) => other !== before), entry].slice(-KEPT);
}

/** Those whose process is not known to have been replaced by another. */
export function stillLeftOut(list: readonly LeftOutWorker[], members: Members): LeftOutWorker[] {
  return list.filter(
    ({ workerId, startedAtMs }) => (members.get(workerId)?.startedAtMs ?? startedAtMs) === startedAtMs,
  );
}

/** What plans must keep to on their account. */
export function restrictions(list: readonly LeftOutWorker[], members: Members): Restricted {
  const out = stillLeftOut(list, members).filter(({ retrying }) => !retrying);
  const ids = (keeps: boolean): readonly string[] =>
    out.filter((entry) => entry.keeps === keeps).map(({ workerId }) => workerId);
  return { leaving: ids(false), keeping: ids(true) };
}

/**
 * Whether a worker that failed at `target` may keep what `committed` gives it: it may while `target` asked more of it, since
 * then what it has is not known to be at fault.
 */
export function mayKeep(committed: PlacementPlan, target: PlacementPlan, workerId: string): boolean {
  if (committed.workers.every(({ id }) => id !== workerId)) return false; // It has nothing.
  const change = diffPlans(committed, target).workers.find(({ id }) => id === workerId);
  return change !== undefined && (change.load.length > 0 || change.ranks !== null);
}

/** What became of a worker, for people. */
export function leftOutText({ workerId, keeps, reason, failures }: LeftOutWorker): string {
  const what = keeps ? 'keeps what it has and gets nothing new' : 'gets nothing';
  return `${workerId} ${what} until it is restarted, or tried again in ${formatDuration(retryAfterMs(failures))}: ${reason}`;
}

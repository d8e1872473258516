import type { Bucket } from '../../../platform/bus/bus.ts';
import { MISSING } from '../../../platform/bus/subjects.ts';
import type { ClusterEvent__Output as ClusterEvent } from '../../../proto/generated/conclave/v1/ClusterEvent.ts';
import type { MissingWorker__Output as MissingWorker } from '../../../proto/generated/conclave/v1/MissingWorker.ts';
import { conclave, decode, encode } from '../../../proto/messages.ts';
import type { RosterEntry } from './roster.ts';

/** A lost worker is listed so long, and so many of them. */
const LISTED_MS = 24 * 3_600_000;
const MAX_LISTED = 64;

/** The list of missing workers, brought up to date with a roster. `nowMs`: milliseconds since the epoch. */
export function listMissing(
  before: readonly MissingWorker[],
  entries: Iterable<RosterEntry>,
  nowMs: number,
): readonly MissingWorker[] {
  const listed = new Map(before.map((missing) => [missing.workerId, missing]));
  for (const { worker, standing, reason, sinceMs, departed } of entries) {
    const { id: workerId, startedAtMs, address, node } = worker;
    const known = listed.get(workerId);
    if (standing === 'lost' || standing === 'unreachable') {
      const state = standing === 'lost' ? 'WORKER_STATE_LOST' : 'WORKER_STATE_UNREACHABLE';
      // The leader before may have seen it first.
      const same = known?.startedAtMs === startedAtMs && known.state === state;
      const began = same ? known.sinceMs : sinceMs;
      listed.set(workerId, { workerId, startedAtMs, address, node, state, sinceMs: began, reason });
    } else if (!departed && (standing === 'reached' || known?.startedAtMs !== startedAtMs)) listed.delete(workerId);
  }
  const recent = [...listed.values()].filter(({ sinceMs }) => nowMs - sinceMs < LISTED_MS);
  return recent.sort((a, b) => a.sinceMs - b.sinceMs).slice(-MAX_LISTED);
}

/** What a change of the list means, for those who watch the cluster. */
export function missingEvents(
  before: readonly MissingWorker[],
  now: readonly MissingWorker[],
  entryOf: (workerId: string) => RosterEntry | undefined,
): readonly Omit<ClusterEvent, 'atMs' | 'count'>[] {
  const keyOf = ({ workerId, startedAtMs, state }: MissingWorker): string => `${workerId}/${startedAtMs}/${state}`;
  const known = new Set(before.map(keyOf));
  const fresh = now.filter((missing) => !known.has(keyOf(missing)));
  const left = new Set(now.map(({ workerId }) => workerId));
  const back = before.filter(({ workerId, startedAtMs }) => {
    const entry = entryOf(workerId);
    return !left.has(workerId) && entry?.standing === 'reached' && entry.worker.startedAtMs === startedAtMs;
  });
  return [
    ...fresh.map((missing) => {
      const lost = missing.state === 'WORKER_STATE_LOST';
      return {
        code: lost ? 'WORKER_LOST' : 'WORKER_UNREACHABLE',
        severity: lost ? 'error' : 'warning',
        subject: `worker/${missing.workerId}`,
        message: `${whoOf(missing)} is ${lost ? 'lost' : 'not reached and gets nothing'}: ${missing.reason}`,
      };
    }),
    ...back.map((missing) => ({
      code: 'WORKER_RETURNED',
      severity: 'info',
      subject: `worker/${missing.workerId}`,
      message: `${whoOf(missing)} answers again`,
    })),
  ];
}

function whoOf({ workerId, address, node }: MissingWorker): string {
  return `${workerId} at ${address} on ${node}`;
}

/** Replaces the list that stands at a revision; false where another writer was faster. */
export async function writeMissing(
  bucket: Bucket,
  workers: readonly MissingWorker[],
  revision: number,
): Promise<boolean> {
  const value = encode(conclave.MissingWorkers, { workers: [...workers] });
  const written = await (revision === 0 ? bucket.create(MISSING, value) : bucket.update(MISSING, value, revision));
  return written !== null;
}

/** Takes a worker off the list. Returns whether it was there. */
export async function forgetMissing(bucket: Bucket, workerId: string): Promise<boolean> {
  for (let attempt = 0; attempt < 20; attempt++) {
    const entry = await bucket.get(MISSING);
    const listed = entry === null ? [] : decode(conclave.MissingWorkers, entry.value).workers;
    const left = listed.filter((missing) => missing.workerId !== workerId);
    if (left.length === listed.length) return false;
    if (await writeMissing(bucket, left, entry?.revision ?? 0)) return true;
  }
  throw new Error('the list of missing workers changes all the time; try again');
}

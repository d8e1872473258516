import type { ClusterEvent__Output as ClusterEvent } from '../../../proto/generated/conclave/v1/ClusterEvent.ts';
import type { WorkerAnnouncement__Output as WorkerAnnouncement } from '../../../proto/generated/conclave/v1/WorkerAnnouncement.ts';

export type Members = ReadonlyMap<string, WorkerAnnouncement>;

/** What became of a worker between two looks at the members. Who is gone without a word is missing: see roster/missing.ts. */
export interface MemberChange {
  /**
   * restarted: another process under the same id. left: gone after everything was moved off it. gaveUp: gone after it asked
   * for that and before it was done.
   */
  readonly kind: 'joined' | 'restarted' | 'left' | 'gaveUp';
  readonly worker: WorkerAnnouncement;
}

/** Changes from one look to the next, by worker id. A heartbeat is no change. `planned`: whether a plan still names a worker. */
export function memberChanges(
  before: Members,
  now: Members,
  planned: (workerId: string) => boolean,
): readonly MemberChange[] {
  const changes: MemberChange[] = [];
  for (const id of [...new Set([...before.keys(), ...now.keys()])].sort()) {
    const [was, is] = [before.get(id), now.get(id)];
    if (is === undefined) {
      if (was?.draining) changes.push({ kind: planned(id) ? 'gaveUp' : 'left', worker: was });
    } else if (was === undefined) changes.push({ kind: 'joined', worker: is });
    else if (was.startedAtMs !== is.startedAtMs) changes.push({ kind: 'restarted', worker: is });
  }
  return changes;
}

const eventOf: Readonly<Record<MemberChange['kind'], { code: string; severity: string; what: string }>> = {
  joined: { code: 'WORKER_JOINED', severity: 'info', what: 'joined' },
  restarted: { code: 'WORKER_RESTARTED', severity: 'warning', what: 'is another process than before' },
  left: { code: 'WORKER_LEFT', severity: 'info', what: 'left after it was drained' },
  gaveUp: { code: 'WORKER_LEFT', severity: 'warning', what: 'left before everything was moved off it' },
};

/** A change as those who watch the cluster read it. */
export function memberEvent({ kind, worker }: MemberChange): Omit<ClusterEvent, 'atMs' | 'count'> {
  const { code, severity, what } = eventOf[kind];
  const message = `${worker.id} at ${worker.address} on ${worker.node} ${what}`;
  return { code, severity, subject: `worker/${worker.id}`, message };
}

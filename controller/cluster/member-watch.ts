import type { Bucket } from '../../platform/bus/bus.ts';
import type { ClusterView } from '../../platform/membership/cluster-view.ts';
import type { EventLog } from './events/events.ts';
import { editConstraints, withoutDraining } from './requests/constraints.ts';
import { type Members, memberChanges, memberEvent } from './roster/membership.ts';

export interface MemberWatchOptions {
  readonly view: ClusterView;
  readonly control: Bucket;
  readonly events: Pick<EventLog, 'publish'>;
  readonly leads: () => boolean;
  /** Milliseconds since the epoch. */
  readonly wallClock: () => number;
  readonly onError: (what: string, error: unknown) => void;
}

/** Follows who joins and leaves. Every controller keeps count; the leader reports changes and ends drains. */
export class MemberWatch {
  readonly #options: MemberWatchOptions;
  /** Null before the start: who is there then did not join just now. */
  #members: Members | null = null;

  constructor(options: MemberWatchOptions) {
    this.#options = options;
  }

  start(): void {
    this.#members = new Map(this.#options.view.workers);
  }

  /** Members have changed. */
  look(): void {
    this.#releaseDrains();
    const { view, events, leads } = this.#options;
    if (this.#members === null) return;
    const planned = (id: string): boolean =>
      [view.target, view.committed].some((plan) => plan?.workers.some((worker) => worker.id === id));
    const changes = memberChanges(this.#members, view.workers, planned);
    this.#members = new Map(view.workers);
    if (leads()) for (const change of changes) events.publish(memberEvent(change));
  }

  /** A drained worker that has left is used again when it comes back. */
  #releaseDrains(): void {
    const { view, control, leads, wallClock, onError } = this.#options;
    const draining = view.constraints?.value.draining ?? [];
    const gone = draining.map(({ workerId }) => workerId).filter((id) => !view.workers.has(id));
    if (!leads() || gone.length === 0) return;
    const cluster = { by: '', atMs: wallClock() };
    editConstraints(control, cluster, (now) => ({
      what: `${gone.join(', ')} left, which ends the drain`,
      next: gone.reduce(withoutDraining, now),
    })).catch((error: unknown) => onError('constraints', error));
  }
}

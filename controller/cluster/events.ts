import type { Bus } from '../../proto/bus/bus.ts';
import { eventSubject } from '../../proto/bus/subjects.ts';
import type { ClusterEvent__Output as ClusterEvent } from '../../proto/generated/conclave/v1/ClusterEvent.ts';
import { conclave, decode, encode } from '../../proto/messages.ts';

/** Events that are kept for status and for those who begin to watch. */
const KEPT = 500;

export interface EventLogOptions {
  readonly bus: Bus;
  readonly cluster: string;
  /** Milliseconds since the epoch. */
  readonly wallClock: () => number;
}

/** What happened in the cluster: published on the bus, heard by every controller, the latest kept. */
export class EventLog {
  readonly #options: EventLogOptions;
  readonly #recent: ClusterEvent[] = [];
  readonly #watchers = new Set<(event: ClusterEvent) => void>();
  readonly #stop: () => void;

  constructor(options: EventLogOptions) {
    this.#options = options;
    this.#stop = options.bus.subscribe(eventSubject(options.cluster), (payload) => this.#hear(payload));
  }

  /** Tells the cluster. While the bus is away the event is kept here only. */
  publish(event: Omit<ClusterEvent, 'atMs' | 'count'>): void {
    const { bus, cluster, wallClock } = this.#options;
    const message = { ...event, atMs: wallClock(), count: 1 };
    if (bus.state === 'connected') bus.publish(eventSubject(cluster), encode(conclave.ClusterEvent, message));
    else this.#keep(message);
  }

  /** The latest events, oldest first. */
  recent(count: number): readonly ClusterEvent[] {
    return count <= 0 ? [] : this.#recent.slice(-count);
  }

  /** Calls `watcher` for every event from now on. Returns a function that stops it. */
  watch(watcher: (event: ClusterEvent) => void): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  close(): void {
    this.#stop();
    this.#watchers.clear();
  }

  #hear(payload: Uint8Array): void {
    try {
      this.#keep(decode(conclave.ClusterEvent, payload));
    } catch {
      // Not an event of this version: nothing is decided from events, so it is only not shown.
    }
  }

  #keep(event: ClusterEvent): void {
    this.#recent.push(event);
    if (this.#recent.length > KEPT) this.#recent.shift();
    for (const watcher of this.#watchers) watcher(event);
  }
}

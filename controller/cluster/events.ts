import type { Bus } from '../../proto/bus/bus.ts';
import { eventSubject, JOURNAL_LENGTH } from '../../proto/bus/subjects.ts';
import type { ClusterEvent__Output as ClusterEvent } from '../../proto/generated/conclave/v1/ClusterEvent.ts';
import { conclave, decode, encode } from '../../proto/messages.ts';

export interface EventLogOptions {
  readonly bus: Bus;
  readonly cluster: string;
  /** Milliseconds since the epoch. */
  readonly wallClock: () => number;
}

/** What happened in the cluster: published on the bus, which keeps the latest, and heard by every controller. */
export class EventLog {
  readonly #options: EventLogOptions;
  /** Oldest first. */
  #recent: readonly ClusterEvent[] = [];
  readonly #watchers = new Set<(event: ClusterEvent) => void>();
  readonly #stop: () => void;

  constructor(options: EventLogOptions) {
    this.#options = options;
    this.#stop = options.bus.subscribe(eventSubject(options.cluster), (payload) => {
      const event = read(payload);
      if (event !== null) this.#keep(event);
    });
  }

  /** Takes over what the bus has kept: what was before this controller, or while it was cut off. Watchers are not told of it. */
  async load(): Promise<void> {
    const { bus, cluster } = this.#options;
    const journal = await bus.journal(eventSubject(cluster));
    const kept = (await journal.recent(JOURNAL_LENGTH)).flatMap((payload) => read(payload) ?? []);
    const known = new Set(kept.map((event) => JSON.stringify(event)));
    const only = this.#recent.filter((event) => !known.has(JSON.stringify(event)));
    this.#recent = [...kept, ...only].sort((a, b) => a.atMs - b.atMs).slice(-JOURNAL_LENGTH);
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

  #keep(event: ClusterEvent): void {
    this.#recent = [...this.#recent, event].slice(-JOURNAL_LENGTH);
    for (const watcher of this.#watchers) watcher(event);
  }
}

/** Null for what is no event of this version: nothing is decided from events, so it is only not shown. */
function read(payload: Uint8Array): ClusterEvent | null {
  try {
    return decode(conclave.ClusterEvent, payload);
  } catch {
    return null;
  }
}

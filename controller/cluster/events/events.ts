import type { Bus } from '../../../platform/bus/bus.ts';
import { eventSubject, JOURNAL_LENGTH } from '../../../platform/bus/subjects.ts';
import type { ClusterEvent__Output as ClusterEvent } from '../../../proto/generated/conclave/v1/ClusterEvent.ts';
import { conclave, decode, encode } from '../../../proto/messages.ts';

/** Events that wait for the bus to come back. */
const UNSENT = 100;

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
  /** Published here while the bus was away, and not sent yet. */
  #unsent: readonly ClusterEvent[] = [];
  /** Those of them that were sent since, and come back as they are heard. */
  readonly #echoes = new Set<string>();
  readonly #stop: () => void;

  constructor(options: EventLogOptions) {
    this.#options = options;
    this.#stop = options.bus.subscribe(eventSubject(options.cluster), (payload) => {
      const event = read(payload);
      if (event !== null && !this.#echoes.delete(keyOf(event))) this.#keep(event);
    });
  }

  /**
   * Takes over what the bus has kept: what was before this controller, or while it was cut off; watchers do not get it.
   * What happened here meanwhile is sent.
   */
  async load(): Promise<void> {
    const { bus, cluster } = this.#options;
    const journal = await bus.journal(eventSubject(cluster));
    const kept = (await journal.recent(JOURNAL_LENGTH)).flatMap((payload) => read(payload) ?? []);
    const known = new Set(kept.map((event) => keyOf(event)));
    const only = this.#recent.filter((event) => !known.has(keyOf(event)));
    this.#recent = [...kept, ...only].sort((a, b) => a.atMs - b.atMs).slice(-JOURNAL_LENGTH);
    for (const event of this.#unsent) {
      this.#echoes.add(keyOf(event));
      bus.publish(eventSubject(cluster), encode(conclave.ClusterEvent, event));
    }
    this.#unsent = [];
  }

  /** Sends an event to the cluster; while the bus is away, others get it once it is back. */
  publish(event: Omit<ClusterEvent, 'atMs' | 'count'>): void {
    const { bus, cluster, wallClock } = this.#options;
    const message = { ...event, atMs: wallClock(), count: 1 };
    if (bus.state === 'connected') bus.publish(eventSubject(cluster), encode(conclave.ClusterEvent, message));
    else {
      this.#unsent = [...this.#unsent, message].slice(-UNSENT);
      this.#keep(message);
    }
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

/** The same of an event that was made here and of the same one that was heard. */
function keyOf({ atMs, code, severity, subject, message, count }: ClusterEvent): string {
  return JSON.stringify([atMs, code, severity, subject, message, count]);
}

/** Null for what is no event of this version: nothing is decided from events, so it is only not shown. */
function read(payload: Uint8Array): ClusterEvent | null {
  try {
    return decode(conclave.ClusterEvent, payload);
  } catch {
    return null;
  }
}

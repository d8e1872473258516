import type { Clock } from '../process/clock.ts';
import { type Bucket, type BucketName, type Bus, type BusConnection, BusError, type Journal } from './bus.ts';
import { callListener, type OnError } from './listeners.ts';
import { MemoryBucket } from './memory-bucket.ts';
import { checkPattern, checkSubject, matches } from './names.ts';
import { buckets, JOURNAL_LENGTH } from './subjects.ts';

export interface MemoryBusOptions {
  readonly clock: Clock;
  /** Called with the errors of listeners that throw. */
  readonly onError: OnError;
}

/** The bus of one process: all its parts share one instance. It is never away; listeners run after the call that woke them. */
export class MemoryBus implements Bus {
  readonly droppedEvents = 0;
  readonly #options: MemoryBusOptions;
  readonly #buckets = new Map<BucketName, MemoryBucket>();
  readonly #subscriptions = new Set<Subscription>();
  /** Latest events by subject. */
  readonly #journals = new Map<string, Uint8Array[]>();
  readonly #stateListeners = new Set<(state: BusConnection) => void>();
  #state: BusConnection = 'connected';

  constructor(options: MemoryBusOptions) {
    this.#options = options;
  }

  get state(): BusConnection {
    return this.#state;
  }

  onState(listener: (state: BusConnection) => void): () => void {
    this.#stateListeners.add(listener);
    return () => this.#stateListeners.delete(listener);
  }

  async bucket(name: BucketName): Promise<Bucket> {
    this.#checkOpen();
    let bucket = this.#buckets.get(name);
    if (bucket === undefined) {
      bucket = new MemoryBucket({ ...this.#options, name, ttlMs: buckets[name].ttlMs });
      this.#buckets.set(name, bucket);
    }
    return bucket;
  }

  publish(subject: string, payload: Uint8Array): void {
    checkSubject(subject);
    const copy = Uint8Array.from(payload);
    const kept = this.#journals.get(subject);
    if (kept !== undefined && kept.push(copy) > JOURNAL_LENGTH) kept.shift();
    for (const subscription of this.#subscriptions) {
      if (!matches(subscription.pattern, subject)) continue;
      queueMicrotask(() => {
        if (!this.#subscriptions.has(subscription)) return;
        callListener(subject, this.#options.onError, () => subscription.listener(copy, subject));
      });
    }
  }

  subscribe(subject: string, listener: (payload: Uint8Array, subject: string) => void): () => void {
    this.#checkOpen();
    checkPattern(subject);
    const subscription = { pattern: subject, listener };
    this.#subscriptions.add(subscription);
    return () => this.#subscriptions.delete(subscription);
  }

  async journal(subject: string): Promise<Journal> {
    this.#checkOpen();
    checkSubject(subject);
    const kept = this.#journals.get(subject) ?? [];
    this.#journals.set(subject, kept);
    return { recent: async (count) => (count <= 0 ? [] : kept.slice(-count)) };
  }

  async close(): Promise<void> {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#subscriptions.clear();
    for (const bucket of this.#buckets.values()) bucket.close();
    for (const listener of this.#stateListeners) {
      callListener('the bus state', this.#options.onError, () => listener('closed'));
    }
  }

  #checkOpen(): void {
    if (this.#state === 'closed') throw new BusError('CLOSED', 'the bus is closed');
  }
}

interface Subscription {
  readonly pattern: string;
  readonly listener: (payload: Uint8Array, subject: string) => void;
}

import type { Clock } from '../process/clock.ts';
import { type Bucket, type BucketName, BusError, type Change, type Entry } from './bus.ts';
import { callListener, type OnError } from './listeners.ts';
import { checkKey } from './names.ts';

export interface MemoryBucketOptions {
  readonly name: BucketName;
  /** Milliseconds after its last write at which a key expires; 0: never. */
  readonly ttlMs: number;
  readonly clock: Clock;
  readonly onError: OnError;
}

interface Stored extends Entry {
  readonly cancelExpiry: () => void;
}

interface Watcher {
  readonly listener: (change: Change) => void;
}

/** A bucket in memory. Values are copied on the way in. */
export class MemoryBucket implements Bucket {
  readonly #options: MemoryBucketOptions;
  readonly #entries = new Map<string, Stored>();
  readonly #watchers = new Set<Watcher>();
  #revision = 0;
  #closed = false;

  constructor(options: MemoryBucketOptions) {
    this.#options = options;
  }

  async get(key: string): Promise<Entry | null> {
    this.#check(key);
    const stored = this.#entries.get(key);
    return stored === undefined ? null : { key, value: stored.value, revision: stored.revision };
  }

  async put(key: string, value: Uint8Array): Promise<number> {
    this.#check(key);
    return this.#write(key, value);
  }

  async create(key: string, value: Uint8Array): Promise<number | null> {
    this.#check(key);
    return this.#entries.has(key) ? null : this.#write(key, value);
  }

  async update(key: string, value: Uint8Array, revision: number): Promise<number | null> {
    this.#check(key);
    return this.#entries.get(key)?.revision === revision ? this.#write(key, value) : null;
  }

  async delete(key: string): Promise<void> {
    this.#check(key);
    if (this.#entries.has(key)) this.#remove(key, ++this.#revision);
  }

  watch(listener: (change: Change) => void, onReady?: () => void): () => void {
    if (this.#closed) throw new BusError('CLOSED', 'the bus is closed');
    const watcher = { listener };
    this.#watchers.add(watcher);
    const present = [...this.#entries.values()].sort((a, b) => a.revision - b.revision);
    for (const { key, value, revision } of present) this.#notify(watcher, { key, value, revision });
    queueMicrotask(() => {
      if (this.#watchers.has(watcher) && onReady) callListener(this.#options.name, this.#options.onError, onReady);
    });
    return () => this.#watchers.delete(watcher);
  }

  close(): void {
    this.#closed = true;
    this.#watchers.clear();
    for (const { cancelExpiry } of this.#entries.values()) cancelExpiry();
  }

  #check(key: string): void {
    if (this.#closed) throw new BusError('CLOSED', 'the bus is closed');
    checkKey(key);
  }

  #write(key: string, value: Uint8Array): number {
    const { clock, ttlMs } = this.#options;
    this.#entries.get(key)?.cancelExpiry();
    this.#revision += 1;
    const revision = this.#revision;
    const cancelExpiry = ttlMs > 0 ? clock.after(ttlMs, () => this.#remove(key, revision)) : () => undefined;
    const entry = { key, value: Uint8Array.from(value), revision };
    this.#entries.set(key, { ...entry, cancelExpiry });
    for (const watcher of this.#watchers) this.#notify(watcher, entry);
    return revision;
  }

  #remove(key: string, revision: number): void {
    this.#entries.get(key)?.cancelExpiry();
    this.#entries.delete(key);
    for (const watcher of this.#watchers) this.#notify(watcher, { key, value: null, revision });
  }

  #notify(watcher: Watcher, change: Change): void {
    queueMicrotask(() => {
      if (!this.#watchers.has(watcher)) return;
      callListener(this.#options.name, this.#options.onError, () => watcher.listener(change));
    });
  }
}

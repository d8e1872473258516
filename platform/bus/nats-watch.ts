// Follows a bucket through reconnects, restarted servers and lost state. Every (re)start takes the present keys from the
// server and notifies the listener how they differ from what it knew before, deletions included; then changes follow as
// they come. The server does not announce that a key expired, so keys that were not written for longer than they live are
// looked up; and so are, after a while, keys that vanished while the server was away.
import type { KvEntry, QueuedIterator } from 'nats';
import type { Clock } from '../process/clock.ts';
import { Backoff } from './backoff.ts';
import type { Change, Entry } from './bus.ts';
import { callListener, type OnError } from './listeners.ts';

export interface NatsWatchOptions {
  /** Name of the bucket, for reports. */
  readonly bucket: string;
  readonly ttlMs: number;
  readonly graceMs: number;
  readonly clock: Clock;
  readonly random: () => number;
  readonly onError: OnError;
  /** Opens the server's watch; calls `onInitialised` in its place among the entries, after those present. */
  readonly open: (onInitialised: () => void) => Promise<QueuedIterator<KvEntry>>;
  readonly get: (key: string) => Promise<Entry | null>;
  readonly listener: (change: Change) => void;
  readonly onReady: () => void;
}

interface Known {
  readonly value: Uint8Array;
  readonly revision: number;
  /** When to look whether it is still there. */
  readonly checkAt: number;
}

/** The present keys must have come after this many milliseconds, else the watch starts again. */
const initialMs = 5_000;
/** Milliseconds between looks for keys that are gone without a word. */
const lookMs = 500;

export class NatsWatch {
  readonly #options: NatsWatchOptions;
  readonly #known = new Map<string, Known>();
  readonly #backoff: Backoff;
  #iterator: QueuedIterator<KvEntry> | null = null;
  /** Counts starts and stops: what belongs to an earlier one is ignored. */
  #run = 0;
  #ready = false;
  #stopped = false;
  readonly #cancelTimers = new Set<() => void>();

  constructor(options: NatsWatchOptions) {
    this.#options = options;
    this.#backoff = new Backoff(options.random);
  }

  /** Starts, or starts again from what the server has now. */
  restart(): void {
    this.suspend();
    if (!this.#stopped) void this.#follow(this.#run);
  }

  /** Stops following until the next `restart`; what is known stays. */
  suspend(): void {
    this.#run += 1;
    this.#iterator?.stop();
    this.#iterator = null;
    for (const cancel of this.#cancelTimers) cancel();
    this.#cancelTimers.clear();
  }

  stop(): void {
    this.#stopped = true;
    this.suspend();
  }

  async #follow(run: number): Promise<void> {
    let snapshot: Map<string, KvEntry> | null = new Map();
    const initialised = (): void => {
      if (run !== this.#run || snapshot === null) return;
      const present = snapshot;
      snapshot = null;
      this.#backoff.succeeded();
      this.#reconcile(present);
      this.#lookLater(run);
    };
    try {
      this.#after(run, initialMs, () => {
        if (snapshot !== null) this.#retry(run, new Error('the present keys do not come'));
      });
      const iterator = await this.#options.open(initialised);
      if (run !== this.#run) {
        iterator.stop();
        return;
      }
      this.#iterator = iterator;
      for await (const entry of iterator) {
        if (run !== this.#run) return;
        if (snapshot === null) this.#apply(entry);
        else snapshot.set(entry.key, entry);
      }
      this.#retry(run, new Error('the server ended the watch'));
    } catch (error) {
      this.#retry(run, error);
    }
  }

  #retry(run: number, error: unknown): void {
    if (run !== this.#run) return;
    this.#options.onError(`watch of ${this.#options.bucket}`, error);
    this.suspend();
    this.#after(this.#run, this.#backoff.delayMs, () => this.restart());
    this.#backoff.failed();
  }

  #reconcile(present: ReadonlyMap<string, KvEntry>): void {
    const { clock, graceMs } = this.#options;
    for (const [key, { value, revision }] of this.#known) {
      const entry = present.get(key);
      if (entry !== undefined && entry.operation !== 'PUT') this.#forget(key, entry.revision);
      else if (entry === undefined && graceMs === 0) this.#forget(key, revision);
      else if (entry === undefined) this.#known.set(key, { value, revision, checkAt: clock.now() + graceMs });
    }
    for (const entry of [...present.values()].sort((a, b) => a.revision - b.revision)) {
      if (entry.operation !== 'PUT') continue;
      const known = this.#known.get(entry.key);
      const same = known?.revision === entry.revision && Buffer.compare(known.value, entry.value) === 0;
      this.#learn(entry, same, 0);
    }
    if (this.#ready) return;
    this.#ready = true;
    callListener(this.#options.bucket, this.#options.onError, this.#options.onReady);
  }

  #apply(entry: KvEntry): void {
    if (entry.operation === 'PUT') this.#learn(entry, false, this.#options.ttlMs);
    else if (this.#known.has(entry.key)) this.#forget(entry.key, entry.revision);
  }

  /** A key that lives for a while is looked up after `livesMs`: at once when nobody knows how long it has lived already. */
  #learn({ key, value, revision }: KvEntry, silently: boolean, livesMs: number): void {
    const { clock, ttlMs } = this.#options;
    const copy = Uint8Array.from(value);
    const checkAt = ttlMs > 0 ? clock.now() + livesMs : Number.POSITIVE_INFINITY;
    this.#known.set(key, { value: copy, revision, checkAt });
    if (!silently) this.#notify({ key, value: copy, revision });
  }

  #forget(key: string, revision: number): void {
    this.#known.delete(key);
    this.#notify({ key, value: null, revision });
  }

  #notify(change: Change): void {
    callListener(this.#options.bucket, this.#options.onError, () => this.#options.listener(change));
  }

  #lookLater(run: number): void {
    this.#after(run, lookMs, () => void this.#lookForGone(run));
  }

  async #lookForGone(run: number): Promise<void> {
    const { clock, get } = this.#options;
    const silent = [...this.#known].filter(([, { checkAt }]) => checkAt <= clock.now());
    try {
      for (const [key, known] of silent) {
        const entry = await get(key);
        if (run !== this.#run) return;
        // A newer entry comes, or has come, through the watch.
        if (entry === null && this.#known.get(key) === known) this.#forget(key, known.revision);
      }
    } catch (error) {
      if (run === this.#run) this.#options.onError(`looking for expired keys of ${this.#options.bucket}`, error);
    }
    this.#lookLater(run);
  }

  #after(run: number, ms: number, callback: () => void): void {
    if (run !== this.#run) return;
    const cancel = this.#options.clock.after(ms, () => {
      this.#cancelTimers.delete(cancel);
      callback();
    });
    this.#cancelTimers.add(cancel);
  }
}

import type { JetStreamClient, KV, StorageType, StreamInfo } from 'nats';
import type { Clock } from '../process/clock.ts';
import { type Bucket, BusError, type Change, type Entry } from './bus.ts';
import type { OnError } from './listeners.ts';
import { checkKey } from './names.ts';
import { busError, isBucketMissing, isStreamMissing, isWrongRevision } from './nats-errors.ts';
import { NatsWatch } from './nats-watch.ts';

/** How often a server is asked for a bucket that it should know, and milliseconds between. */
const ATTEMPTS = 20;
const RETRY_MS = 100;

export interface NatsBucketOptions {
  /** Name on the server. */
  readonly id: string;
  /** Milliseconds after its last write at which a key expires; 0: never. */
  readonly ttlMs: number;
  /** See BucketSpec. */
  readonly graceMs: number;
  readonly storage: StorageType;
  /** Servers that keep a copy. */
  readonly replicas: number;
  readonly clock: Clock;
  readonly random: () => number;
  readonly onError: OnError;
  /** The client while the bus is connected; throws UNAVAILABLE or CLOSED otherwise. */
  readonly client: () => JetStreamClient;
  /** Runs a call to the server under the bus's deadline. */
  readonly withDeadline: <T>(what: string, call: () => Promise<T>) => Promise<T>;
}

/** A JetStream key-value bucket. It outlives reconnects and the loss of the server's state: `restore` makes it again. */
export class NatsBucket implements Bucket {
  readonly #options: NatsBucketOptions;
  readonly #watches = new Set<NatsWatch>();
  #kv: KV | null = null;
  /** When the server made the bucket that the watches follow. */
  #madeAt: string | null = null;

  constructor(options: NatsBucketOptions) {
    this.#options = options;
  }

  /**
   * Creates the bucket on the server if it is not there. Called after every (re)connect, before anything else. Returns
   * whether it is another one than before: its revisions begin again.
   */
  async ensure(client: JetStreamClient): Promise<boolean> {
    const { kv, streamInfo } = await this.#made(client);
    const another = this.#madeAt !== null && this.#madeAt !== streamInfo.created;
    this.#kv = kv;
    this.#madeAt = streamInfo.created;
    return another;
  }

  /** The bucket. A server of several may not know yet what another one has just made: it is asked again. */
  async #made(client: JetStreamClient, attempts = ATTEMPTS): Promise<{ kv: KV; streamInfo: StreamInfo }> {
    const { id, ttlMs, storage, replicas, clock } = this.#options;
    try {
      const kv = await client.views.kv(id, { ttl: ttlMs, storage, replicas, history: 1 });
      return { kv, streamInfo: (await kv.status()).streamInfo };
    } catch (error) {
      if (attempts === 1 || !isStreamMissing(error)) throw error;
      await new Promise<void>((resolve) => void clock.after(RETRY_MS, resolve));
      return this.#made(client, attempts - 1);
    }
  }

  /** Notices a bucket that was deleted under our hands: makes it again, and brings the watches up to date with it. */
  async check(client: JetStreamClient): Promise<void> {
    if (await this.ensure(client)) this.resume();
  }

  /** Brings all watches up to date with a server that was away. */
  resume(): void {
    for (const watch of this.#watches) watch.restart();
  }

  /** The server is away: watches wait for `resume`. */
  suspend(): void {
    for (const watch of this.#watches) watch.suspend();
  }

  async get(key: string): Promise<Entry | null> {
    const entry = await this.#call(key, (kv) => kv.get(key));
    if (entry === null || entry.operation !== 'PUT') return null;
    return { key, value: Uint8Array.from(entry.value), revision: entry.revision };
  }

  async put(key: string, value: Uint8Array): Promise<number> {
    return await this.#call(key, (kv) => kv.put(key, value));
  }

  async create(key: string, value: Uint8Array): Promise<number | null> {
    return await this.#call(key, (kv) => compareAndSet(() => kv.create(key, value)));
  }

  async update(key: string, value: Uint8Array, revision: number): Promise<number | null> {
    if (!(revision > 0)) return null; // Nothing is ever at such a revision.
    return await this.#call(key, (kv) => compareAndSet(() => kv.update(key, value, revision)));
  }

  async delete(key: string): Promise<void> {
    await this.#call(key, (kv) => kv.delete(key));
  }

  watch(listener: (change: Change) => void, onReady?: () => void): () => void {
    this.#options.client(); // A closed bus throws; one that is away keeps the watch for later.
    const watch = new NatsWatch({
      ...this.#options,
      bucket: this.#options.id,
      open: async (onInitialised) => {
        const kv = await this.#current();
        return await kv.watch({ initializedFn: onInitialised });
      },
      get: (key) => this.get(key),
      listener,
      onReady: onReady ?? (() => undefined),
    });
    this.#watches.add(watch);
    watch.restart();
    return () => {
      watch.stop();
      this.#watches.delete(watch);
    };
  }

  close(): void {
    for (const watch of this.#watches) watch.stop();
    this.#watches.clear();
  }

  async #current(): Promise<KV> {
    const client = this.#options.client();
    if (this.#kv === null) await this.check(client);
    if (this.#kv === null) throw new BusError('UNAVAILABLE', `bucket ${this.#options.id} is not there`);
    return this.#kv;
  }

  async #call<T>(key: string, call: (kv: KV) => Promise<T>): Promise<T> {
    checkKey(key);
    const what = `${this.#options.id} ${key}`;
    try {
      return await this.#options.withDeadline(what, async () => call(await this.#current()));
    } catch (error) {
      if (isBucketMissing(error)) this.#kv = null; // Made again by the next call.
      throw busError(what, error);
    }
  }
}

/** Null when the key is not at the revision that the write expects. */
async function compareAndSet(write: () => Promise<number>): Promise<number | null> {
  try {
    return await write();
  } catch (error) {
    if (isWrongRevision(error)) return null;
    throw error;
  }
}

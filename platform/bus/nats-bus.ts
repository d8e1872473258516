import {
  connect,
  DebugEvents,
  Events,
  type JetStreamClient,
  type JetStreamManager,
  type NatsConnection,
  StorageType,
  type Subscription,
} from 'nats';
import { type Clock, systemClock } from '../process/clock.ts';
import { Backoff } from './backoff.ts';
import { type Bucket, type BucketName, type Bus, type BusConnection, BusError, type Journal } from './bus.ts';
import { callListener, type OnError } from './listeners.ts';
import { checkPattern, checkSubject } from './names.ts';
import { NatsBucket } from './nats-bucket.ts';
import { busError, isRefusal, isTimeout, isTlsFailure, lacksJetStream } from './nats-errors.ts';
import { NatsJournal } from './nats-journal.ts';
import { connectionOptions, currentTls, type NatsOptions } from './nats-options.ts';
import { findTlsFailure } from './nats-tls.ts';
import { bucketId, buckets, JOURNAL_LENGTH } from './subjects.ts';

export interface NatsBusOptions extends NatsOptions {
  /** Clusters with different names share a server without meeting. */
  readonly cluster: string;
  /** Called with tries that failed, watches that had to start again, and the errors of listeners that throw. */
  readonly onError: OnError;
  /** Milliseconds after which a call fails as UNAVAILABLE. */
  readonly deadlineMs?: number;
  /** Whether buckets survive a restart of the server. */
  readonly storage?: 'file' | 'memory';
  /** Milliseconds between looks whether the buckets are still the same on the server. */
  readonly checkMs?: number;
  /** Servers of a NATS cluster that keep a copy of each bucket. */
  readonly replicas?: number;
  readonly clock?: Clock;
  readonly random?: () => number;
}

const defaultDeadlineMs = 2_000;

/**
 * The bus on NATS with JetStream (server 2.9 or newer). Reconnects for ever. After each reconnect it makes sure that the
 * buckets exist before it calls itself connected, so a server that came back with nothing is filled again by those who use
 * it; watches then catch up.
 */
export class NatsBus implements Bus {
  readonly #options: Required<Pick<NatsBusOptions, 'deadlineMs' | 'checkMs' | 'clock' | 'random'>> & NatsBusOptions;
  readonly #connection: NatsConnection;
  readonly #client: JetStreamClient;
  readonly #backoff: Backoff;
  readonly #buckets = new Map<BucketName, NatsBucket>();
  readonly #journals = new Map<string, NatsJournal>();
  #manager: Promise<JetStreamManager> | null = null;
  readonly #stateListeners = new Set<(state: BusConnection) => void>();
  #state: BusConnection = 'connected';
  /** Counts disconnects: what was begun before one is given up. */
  #era = 0;
  #dropped = 0;
  #cancelCheck: () => void = () => undefined;

  /**
   * Connects; while no server answers it tries again, and calls `onError`, until `signal` aborts. Throws INVALID_ARGUMENT
   * when a server refuses the credentials, certificates do not match or the options make no sense, CLOSED when aborted.
   */
  static async connect(options: NatsBusOptions, signal?: AbortSignal): Promise<NatsBus> {
    const random = options.random ?? Math.random;
    const clock = options.clock ?? systemClock;
    const what = `NATS at ${options.servers.join(', ')}`;
    const backoff = new Backoff(random);
    for (;;) {
      try {
        const connection = await connect(connectionOptions(options, () => backoff.delayMs));
        await requireJetStream(connection, what, options.deadlineMs ?? defaultDeadlineMs);
        backoff.succeeded();
        return new NatsBus(options, connection, backoff);
      } catch (error) {
        const failure = isTimeout(error) ? ((await tlsFailureOf(options)) ?? error) : error;
        if (isRefusal(failure) || isTlsFailure(failure)) throw busError(what, failure);
        options.onError(what, failure);
      }
      await new Promise<void>((resolve) => {
        clock.after(backoff.delayMs, resolve);
        backoff.failed();
        signal?.addEventListener('abort', () => resolve(), { once: true });
      });
      if (signal?.aborted) throw new BusError('CLOSED', `${what}: given up`);
    }
  }

  private constructor(options: NatsBusOptions, connection: NatsConnection, backoff: Backoff) {
    const { deadlineMs = defaultDeadlineMs, checkMs = 15_000, clock = systemClock, random = Math.random } = options;
    this.#options = { ...options, deadlineMs, checkMs, clock, random };
    this.#connection = connection;
    this.#backoff = backoff;
    this.#client = connection.jetstream({ timeout: deadlineMs });
    void this.#followStatus();
    this.#checkLater(this.#era);
  }

  get state(): BusConnection {
    return this.#state;
  }

  get droppedEvents(): number {
    return this.#dropped;
  }

  onState(listener: (state: BusConnection) => void): () => void {
    this.#stateListeners.add(listener);
    return () => this.#stateListeners.delete(listener);
  }

  async bucket(name: BucketName): Promise<Bucket> {
    const client = this.#connectedClient();
    const known = this.#buckets.get(name);
    if (known !== undefined) return known;
    const { cluster, storage = 'file', replicas = 1, clock, random, onError } = this.#options;
    const id = bucketId(cluster, name);
    const bucket = new NatsBucket({
      id,
      ttlMs: buckets[name].ttlMs,
      graceMs: buckets[name].graceMs,
      storage: storageType(storage),
      replicas,
      clock,
      random,
      onError,
      client: () => this.#connectedClient(),
      withDeadline: (what, call) => this.#withDeadline(what, call),
    });
    try {
      await this.#withDeadline(id, () => bucket.ensure(client));
    } catch (error) {
      throw busError(id, error);
    }
    const other = this.#buckets.get(name); // Opened twice at the same time.
    if (other !== undefined) return other;
    this.#buckets.set(name, bucket);
    return bucket;
  }

  publish(subject: string, payload: Uint8Array): void {
    checkSubject(subject);
    if (this.#state !== 'connected') {
      this.#dropped += 1;
      return;
    }
    try {
      this.#connection.publish(subject, payload);
    } catch (error) {
      this.#dropped += 1;
      this.#options.onError(`event on ${subject}`, error);
    }
  }

  subscribe(subject: string, listener: (payload: Uint8Array, subject: string) => void): () => void {
    if (this.#state === 'closed') throw new BusError('CLOSED', 'the bus is closed');
    checkPattern(subject);
    const { onError } = this.#options;
    const subscription: Subscription = this.#connection.subscribe(subject, {
      callback: (error, message) => {
        if (error) onError(`subscription to ${subject}`, error);
        else callListener(subject, onError, () => listener(message.data, message.subject));
      },
    });
    return () => subscription.unsubscribe();
  }

  async journal(subject: string): Promise<Journal> {
    this.#connectedClient();
    checkSubject(subject);
    const { storage = 'file', replicas = 1 } = this.#options;
    const journal = new NatsJournal({ subject, kept: JOURNAL_LENGTH, storage: storageType(storage), replicas });
    const call = async <T>(ask: (manager: JetStreamManager) => Promise<T>): Promise<T> => {
      this.#connectedClient();
      try {
        return await this.#withDeadline(`journal of ${subject}`, async () => ask(await this.#streams()));
      } catch (error) {
        throw busError(`journal of ${subject}`, error);
      }
    };
    await call((manager) => journal.ensure(manager));
    this.#journals.set(subject, journal);
    return { recent: (count) => call((manager) => journal.recent(manager, count)) };
  }

  /** Management of streams; asks the server once whether it may. */
  #streams(): Promise<JetStreamManager> {
    const manager = (this.#manager ??= this.#connection.jetstreamManager({ timeout: this.#options.deadlineMs }));
    manager.catch(() => {
      this.#manager = null;
    });
    return manager;
  }

  async close(): Promise<void> {
    if (this.#state === 'closed') return;
    const connected = this.#state === 'connected';
    this.#era += 1;
    this.#cancelCheck();
    this.#setState('closed');
    for (const bucket of this.#buckets.values()) bucket.close();
    // Events that were published just before go out, if the server takes them.
    if (connected) await this.#withDeadline('flush', () => this.#connection.flush()).catch(() => undefined);
    await this.#connection.close();
  }

  #connectedClient(): JetStreamClient {
    if (this.#state === 'closed') throw new BusError('CLOSED', 'the bus is closed');
    if (this.#state !== 'connected') throw new BusError('UNAVAILABLE', 'NATS is away');
    return this.#client;
  }

  async #withDeadline<T>(what: string, call: () => Promise<T>): Promise<T> {
    const { clock, deadlineMs } = this.#options;
    let cancel = (): void => undefined;
    const late = new Promise<never>((_, reject) => {
      cancel = clock.after(deadlineMs, () => {
        reject(new BusError('UNAVAILABLE', `${what}: no answer from NATS within ${deadlineMs} ms`));
      });
    });
    try {
      return await Promise.race([call(), late]);
    } finally {
      cancel();
    }
  }

  async #followStatus(): Promise<void> {
    for await (const { type, data } of this.#connection.status()) {
      if (type === Events.Disconnect || type === DebugEvents.StaleConnection) this.#away();
      else if (type === DebugEvents.Reconnecting) this.#backoff.failed();
      else if (type === Events.Reconnect) void this.#restore(++this.#era);
      else if (type === Events.Error) this.#options.onError('NATS', data);
    }
    if (this.#state !== 'closed') {
      this.#options.onError('NATS', new Error('the client gave the connection up'));
      await this.close();
    }
  }

  #away(): void {
    this.#era += 1;
    for (const bucket of this.#buckets.values()) bucket.suspend();
    this.#setState('reconnecting');
  }

  /** Makes the buckets again where the server lost them, then catches up. Tries until it succeeds or the server goes again. */
  async #restore(era: number): Promise<void> {
    const { clock, random, onError } = this.#options;
    this.#backoff.succeeded();
    const backoff = new Backoff(random);
    while (era === this.#era) {
      try {
        for (const bucket of this.#buckets.values()) {
          await this.#withDeadline('restoring buckets', () => bucket.ensure(this.#client));
        }
        for (const journal of this.#journals.values()) {
          await this.#withDeadline('restoring journals', async () => journal.ensure(await this.#streams()));
        }
        if (era !== this.#era) return;
        this.#setState('connected');
        for (const bucket of this.#buckets.values()) bucket.resume();
        this.#checkLater(era);
        return;
      } catch (error) {
        onError('restoring buckets', error);
      }
      await new Promise<void>((resolve) => clock.after(backoff.delayMs, resolve));
      backoff.failed();
    }
  }

  #checkLater(era: number): void {
    const { clock, checkMs, random } = this.#options;
    this.#cancelCheck();
    this.#cancelCheck = clock.after(checkMs * (0.5 + random()), () => void this.#check(era));
  }

  async #check(era: number): Promise<void> {
    for (const bucket of this.#buckets.values()) {
      if (era !== this.#era) return;
      await this.#withDeadline('checking buckets', () => bucket.check(this.#client)).catch((error: unknown) =>
        this.#options.onError('checking buckets', error),
      );
    }
    if (era === this.#era) this.#checkLater(era);
  }

  #setState(state: BusConnection): void {
    if (state === this.#state || this.#state === 'closed') return;
    this.#state = state;
    for (const listener of this.#stateListeners) {
      callListener('the bus state', this.#options.onError, () => listener(state));
    }
  }
}

function storageType(storage: 'file' | 'memory'): StorageType {
  return storage === 'file' ? StorageType.File : StorageType.Memory;
}

function tlsFailureOf({ servers, tls }: NatsOptions): Promise<Error | null> {
  return findTlsFailure({ servers, tls: tls === undefined ? {} : { ...currentTls(tls) } });
}

/** Asks the server for the account's use of JetStream. Closes the connection and throws where there is no answer. */
async function requireJetStream(connection: NatsConnection, what: string, deadlineMs: number): Promise<void> {
  try {
    await connection.jetstreamManager({ timeout: deadlineMs });
  } catch (error) {
    await connection.close();
    throw lacksJetStream(error) ? new BusError('INVALID_ARGUMENT', `${what} runs without JetStream`) : error;
  }
}

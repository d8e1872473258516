/**
 * What the control plane needs of a bus: buckets of versioned keys with compare-and-set, and subjects for events that may be
 * lost. Values are encoded protobuf messages. Nothing is ever decided from a plain `get`: a decision is an `update` at the
 * revision that it was made from.
 *
 * While the bus is away every call settles within its deadline with a BusError (UNAVAILABLE); watches and subscriptions
 * survive, and after the return a watcher gets everything that changed meanwhile, deletions included.
 */
export interface Bus {
  readonly state: BusConnection;
  /** Calls `listener` on each change of `state`. Returns a function that stops it. */
  onState(listener: (state: BusConnection) => void): () => void;
  /** Opens a bucket, creating it when it does not exist. */
  bucket(name: BucketName): Promise<Bucket>;
  /** Sends an event to whoever listens now. While the bus is away it is dropped; `droppedEvents` counts those. */
  publish(subject: string, payload: Uint8Array): void;
  /** Calls `listener` for every event on `subject` (a trailing ">" matches the rest). Returns a function that stops it. */
  subscribe(subject: string, listener: (payload: Uint8Array, subject: string) => void): () => void;
  readonly droppedEvents: number;
  /** The bus keeps the latest events of a subject, from the first time on that anybody opens its journal. */
  journal(subject: string): Promise<Journal>;
  /** Ends all watches and subscriptions. Idempotent. */
  close(): Promise<void>;
}

/** The latest events of a subject; they outlive those who sent them. */
export interface Journal {
  /** At most `count`, oldest first. */
  recent(count: number): Promise<readonly Uint8Array[]>;
}

export type BusConnection = 'connected' | 'reconnecting' | 'closed';

/** Buckets of the control plane; what each holds is declared in subjects.ts. */
export type BucketName = 'workers' | 'reports' | 'plans' | 'control';

/** A value and the revision at which it was written. Revisions grow with every write to the bucket. */
export interface Entry {
  readonly key: string;
  readonly value: Uint8Array;
  readonly revision: number;
}

/** A change of a key. `value` is null when the key was deleted or expired. */
export interface Change {
  readonly key: string;
  readonly value: Uint8Array | null;
  readonly revision: number;
}

export interface Bucket {
  get(key: string): Promise<Entry | null>;
  /** Writes whatever is there. Returns the new revision. */
  put(key: string, value: Uint8Array): Promise<number>;
  /** Writes only if the key does not exist. Returns the new revision, or null when it exists. */
  create(key: string, value: Uint8Array): Promise<number | null>;
  /** Writes only if the key is at `revision`. Returns the new revision, or null when it is not. */
  update(key: string, value: Uint8Array, revision: number): Promise<number | null>;
  delete(key: string): Promise<void>;
  /**
   * Calls `listener` for every key that exists, then `onReady` once, then `listener` for every change, in order of revision.
   * Returns a function that stops it.
   */
  watch(listener: (change: Change) => void, onReady?: () => void): () => void;
}

export type BusErrorCode = 'UNAVAILABLE' | 'CLOSED' | 'INVALID_ARGUMENT' | 'INTERNAL';

export class BusError extends Error {
  override readonly name = 'BusError';
  readonly code: BusErrorCode;

  constructor(code: BusErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

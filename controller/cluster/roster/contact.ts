import type { ServiceError } from '@grpc/grpc-js';
import type { Clock } from '../../../platform/process/clock.ts';
import type { Connection } from './connection.ts';
import { answeredSighting, failedSighting, type Session, type Sighting } from './sighting.ts';

export interface ContactOptions {
  readonly session: Session;
  /** host:port that the worker announced. */
  readonly address: string;
  readonly connect: (address: string) => Connection;
  readonly clock: Clock;
  readonly onSighting: (sighting: Sighting) => void;
}

/** Milliseconds within which a worker must say who it is. */
const DEADLINE_MS = 3_000;
const FIRST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 5_000;

/**
 * Keeps a connection to one process of a worker, so that its end is seen without a request. A connection that breaks proves
 * nothing; whether the process is gone is asked at once on another one. Tries go on, more and more rarely, until `close`.
 */
export class Contact {
  readonly #options: ContactOptions;
  #connection: Connection | null = null;
  /** Counts attempts: what belongs to an earlier one is ignored. */
  #attempt = 0;
  #asking = false;
  #failures = 0;
  #cancelRetry: (() => void) | null = null;
  #closed = false;

  constructor(options: ContactOptions) {
    this.#options = options;
    void this.#look();
  }

  /** A member could not reach this worker: asks again now. */
  lookNow(): void {
    if (!this.#asking && !this.#closed) void this.#look();
  }

  close(): void {
    this.#closed = true;
    this.#attempt++;
    this.#cancelRetry?.();
    this.#connection?.close();
    this.#connection = null;
  }

  async #look(): Promise<void> {
    const { address, connect, onSighting } = this.#options;
    const attempt = ++this.#attempt;
    this.#cancelRetry?.();
    this.#connection?.close();
    const connection = connect(address);
    this.#connection = connection;
    this.#asking = true;
    const sighting = await this.#identify(connection);
    if (attempt !== this.#attempt) return;
    this.#asking = false;
    if (sighting.kind === 'reached') {
      this.#failures = 0;
      connection.onBroken(() => {
        if (attempt === this.#attempt) this.lookNow();
      });
    } else {
      connection.close();
      this.#connection = null;
      this.#retryLater();
    }
    onSighting(sighting);
  }

  async #identify(connection: Connection): Promise<Sighting> {
    const { session, address } = this.#options;
    try {
      return answeredSighting(session, await connection.identify(DEADLINE_MS), address);
    } catch (error) {
      return failedSighting(error as ServiceError, address);
    }
  }

  #retryLater(): void {
    const delay = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(this.#failures, 10));
    this.#failures++;
    this.#cancelRetry = this.#options.clock.after(delay, () => void this.#look());
  }
}

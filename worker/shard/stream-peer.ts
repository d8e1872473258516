import type { ClientDuplexStream } from '@grpc/grpc-js';
import { ShardFailure, type ShardFailureCode } from './failure.ts';

export interface StreamPeerOptions<Request, Response> {
  /** Worker id, for errors. */
  readonly id: string;
  /** Opens a new stream. */
  readonly open: () => ClientDuplexStream<Request, Response>;
  /** Closes what the streams run on. */
  readonly close: () => void;
  /** Id that the response carries, as given to `send`. */
  readonly idOf: (response: Response) => number;
  /** Why the other side could not answer, or null when it did. */
  readonly errorOf: (response: Response) => string | null;
  /** Requests in flight beyond which new ones fail with BUSY. */
  readonly maxInFlight?: number;
  /** Milliseconds before the n-th attempt (from 0) to open the stream again. */
  readonly backoffMs?: (attempt: number) => number;
  /** Told when the peer becomes reachable and when it is lost. */
  readonly onState?: (connected: boolean) => void;
}

interface Pending<Response> {
  readonly resolve: (response: Response) => void;
  readonly reject: (failure: ShardFailure) => void;
  readonly timer: NodeJS.Timeout;
}

/**
 * One long-lived bidirectional stream to a worker, with answers paired to requests by id. The stream is opened again for as
 * long as the peer is wanted; what was in flight when it broke fails at once, so that the rows can go to another worker
 * within the same step.
 */
export class StreamPeer<Request, Response> {
  readonly id: string;
  readonly #options: StreamPeerOptions<Request, Response>;
  readonly #pending = new Map<number, Pending<Response>>();
  #stream: ClientDuplexStream<Request, Response> | null = null;
  #connected = false;
  #closed = false;
  #nextId = 1;
  #attempt = 0;
  #retry: NodeJS.Timeout | null = null;

  constructor(options: StreamPeerOptions<Request, Response>) {
    this.id = options.id;
    this.#options = options;
    this.#open();
  }

  /** Whether the other side has accepted the stream. */
  get connected(): boolean {
    return this.#connected;
  }

  /** Sends the request made for a fresh id; settles with its answer, or with a ShardFailure no later than `deadlineMs`. */
  send(request: (id: number) => Request, deadlineMs: number): Promise<Response> {
    const stream = this.#stream;
    if (stream === null || !this.#connected) return this.#fail('PEER_LOST', 'is not connected');
    const limit = this.#options.maxInFlight ?? 64;
    if (this.#pending.size >= limit) {
      return this.#fail('BUSY', `has ${this.#pending.size} requests in flight (limit ${limit})`);
    }
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#pending.delete(id);
        reject(this.#failure('DEADLINE', `no answer within ${Math.round(deadlineMs)} ms`));
      }, deadlineMs);
      this.#pending.set(id, { resolve, reject, timer });
      stream.write(request(id));
    });
  }

  /** Ends the stream and fails what is in flight. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#lose('was closed');
    this.#options.close();
  }

  #open(): void {
    const stream = this.#options.open();
    this.#stream = stream;
    stream.on('metadata', () => {
      if (this.#stream !== stream) return;
      this.#attempt = 0;
      this.#connected = true;
      this.#options.onState?.(true);
    });
    stream.on('data', (response: Response) => this.#answer(response));
    stream.on('error', (error: Error) => this.#reopen(stream, error.message));
    stream.on('end', () => this.#reopen(stream, 'ended the stream'));
  }

  #answer(response: Response): void {
    const id = this.#options.idOf(response);
    const pending = this.#pending.get(id);
    if (pending === undefined) return; // Its deadline passed; the rows are elsewhere.
    this.#pending.delete(id);
    clearTimeout(pending.timer);
    const error = this.#options.errorOf(response);
    if (error === null) pending.resolve(response);
    else pending.reject(this.#failure('REFUSED', error));
  }

  #reopen(stream: ClientDuplexStream<Request, Response>, reason: string): void {
    if (this.#stream !== stream || this.#closed) return;
    this.#lose(reason);
    const delay = (this.#options.backoffMs ?? reconnectDelayMs)(this.#attempt++);
    this.#retry = setTimeout(() => {
      this.#retry = null;
      this.#open();
    }, delay);
  }

  #lose(reason: string): void {
    const stream = this.#stream;
    this.#stream = null;
    stream?.cancel();
    const wasConnected = this.#connected;
    this.#connected = false;
    const lost = [...this.#pending.values()];
    this.#pending.clear();
    for (const pending of lost) {
      clearTimeout(pending.timer);
      pending.reject(this.#failure('PEER_LOST', reason));
    }
    if (wasConnected) this.#options.onState?.(false);
  }

  #fail(code: ShardFailureCode, message: string): Promise<never> {
    return Promise.reject(this.#failure(code, message));
  }

  #failure(code: ShardFailureCode, message: string): ShardFailure {
    return new ShardFailure(code, this.id, message);
  }
}

/** 50 ms, doubling to 2 s: a restarted worker is used again soon, an absent one costs nothing. */
function reconnectDelayMs(attempt: number): number {
  return Math.min(2_000, 50 * 2 ** Math.min(attempt, 10));
}

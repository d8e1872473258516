import type { ClientDuplexStream, Metadata } from '@grpc/grpc-js';
import { ShardFailure, type ShardFailureCode } from './failure.ts';

export interface StreamPeerOptions<Request, Response> {
  /** Worker id, for errors. */
  readonly id: string;
  /** Opens a new stream, on a connection of its own: one that failed is not waited for. */
  readonly open: () => OpenStream<Request, Response>;
  /** Id that the response carries, as given to `send`. */
  readonly idOf: (response: Response) => number;
  /** Why the other side could not answer, or null when it did. */
  readonly errorOf: (response: Response) => string | null;
  /** Why what accepted the stream is not the peer, or null when it is. */
  readonly refuse?: (metadata: Metadata) => string | null;
  /** Requests in flight beyond which new ones fail with BUSY. */
  readonly maxInFlight?: number;
  /** Milliseconds before the n-th attempt (from 0) to open the stream again. */
  readonly backoffMs?: (attempt: number) => number;
  /** Called when the peer becomes reachable and when it is lost. */
  readonly onState?: (connected: boolean) => void;
  /** Called when the peer is cut off because it answers what nobody asked. */
  readonly onPoisoned?: (failure: ShardFailure) => void;
}

export interface OpenStream<Request, Response> {
  readonly stream: ClientDuplexStream<Request, Response>;
  /** Closes what the stream runs on. */
  readonly close: () => void;
}

interface Pending<Response> {
  readonly resolve: (response: Response) => void;
  readonly reject: (failure: ShardFailure) => void;
  readonly deadlineMs: number;
  /** When the deadline passes, by performance.now(). */
  readonly expiresAt: number;
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
  #open: OpenStream<Request, Response> | null = null;
  #connected = false;
  #closed = false;
  #nextId = 1;
  /** Requests of this stream whose deadline passed: each may still be answered, once. */
  #overdue = 0;
  /** Tries to open a stream since the last answer: a peer that only accepts streams is asked more and more rarely. */
  #attempt = 0;
  #retry: NodeJS.Timeout | null = null;
  /** One timer for all deadlines: it is set for the earliest, and what was answered meanwhile costs nothing. */
  #timer: NodeJS.Timeout | null = null;
  #timerAt = Number.POSITIVE_INFINITY;

  constructor(options: StreamPeerOptions<Request, Response>) {
    this.id = options.id;
    this.#options = options;
    this.#connect();
  }

  /** Whether the other side has accepted the stream. */
  get connected(): boolean {
    return this.#connected;
  }

  /** Sends the request made for a fresh id; settles with its answer, or with a ShardFailure no later than `deadlineMs`. */
  send(request: (id: number) => Request, deadlineMs: number): Promise<Response> {
    const stream = this.#open?.stream;
    if (stream === undefined || !this.#connected) return this.#fail('PEER_LOST', 'is not connected');
    const limit = this.#options.maxInFlight ?? 64;
    if (this.#pending.size >= limit) {
      return this.#fail('BUSY', `has ${this.#pending.size} requests in flight (limit ${limit})`);
    }
    const id = this.#nextId++;
    const expiresAt = performance.now() + deadlineMs;
    if (expiresAt < this.#timerAt) this.#setTimer(expiresAt);
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject, deadlineMs, expiresAt });
      stream.write(request(id));
    });
  }

  /** Ends the stream and fails what is in flight. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#retry !== null) clearTimeout(this.#retry);
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#lose('was closed');
  }

  /** The other side is said to be there again: connects at once instead of when the next try is due. */
  retryNow(): void {
    if (this.#retry === null || this.#closed) return;
    clearTimeout(this.#retry);
    this.#retry = null;
    this.#attempt = 0;
    this.#connect();
  }

  #connect(): void {
    const open = this.#options.open();
    const { stream } = open;
    this.#open = open;
    stream.on('metadata', (metadata: Metadata) => {
      if (this.#open !== open) return;
      const problem = this.#options.refuse?.(metadata) ?? null;
      if (problem !== null) return this.#reopen(open, problem);
      this.#connected = true;
      this.#options.onState?.(true);
    });
    stream.on('data', (response: Response) => {
      if (this.#open === open) this.#answer(open, response);
    });
    stream.on('error', (error: Error) => this.#reopen(open, error.message));
    stream.on('end', () => this.#reopen(open, 'ended the stream'));
  }

  #answer(open: OpenStream<Request, Response>, response: Response): void {
    const id = this.#options.idOf(response);
    const pending = this.#pending.get(id);
    if (pending === undefined) {
      if (this.#overdue > 0 && id < this.#nextId) this.#overdue--;
      else this.#poisoned(open, id);
      return;
    }
    this.#pending.delete(id);
    this.#attempt = 0;
    const error = this.#options.errorOf(response);
    if (error === null) pending.resolve(response);
    else pending.reject(this.#failure('REFUSED', error));
  }

  /** An endless stream of answers would keep this process busy with nothing: such a peer is left alone for a while. */
  #poisoned(open: OpenStream<Request, Response>, id: number): void {
    const reason = `answered ${id}, which is no request that waits for an answer`;
    this.#attempt = Math.max(this.#attempt, SLOWEST_ATTEMPT);
    this.#reopen(open, reason, 'POISONED');
    this.#options.onPoisoned?.(this.#failure('POISONED', reason));
  }

  #reopen(open: OpenStream<Request, Response>, reason: string, code: ShardFailureCode = 'PEER_LOST'): void {
    if (this.#open !== open || this.#closed) return;
    this.#lose(reason, code);
    const delay = (this.#options.backoffMs ?? reconnectDelayMs)(this.#attempt++);
    this.#retry = setTimeout(() => {
      this.#retry = null;
      this.#connect();
    }, delay);
  }

  #setTimer(at: number): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timerAt = at;
    this.#timer = setTimeout(() => this.#expire(), Math.max(1, at - performance.now()));
  }

  #expire(): void {
    this.#timer = null;
    this.#timerAt = Number.POSITIVE_INFINITY;
    const now = performance.now();
    let next = Number.POSITIVE_INFINITY;
    for (const [id, pending] of this.#pending) {
      if (pending.expiresAt > now) {
        next = Math.min(next, pending.expiresAt);
        continue;
      }
      this.#pending.delete(id);
      this.#overdue++;
      pending.reject(this.#failure('DEADLINE', `no answer within ${Math.round(pending.deadlineMs)} ms`));
    }
    if (next < Number.POSITIVE_INFINITY) this.#setTimer(next);
  }

  #lose(reason: string, code: ShardFailureCode = 'PEER_LOST'): void {
    const open = this.#open;
    this.#open = null;
    this.#overdue = 0;
    open?.stream.cancel();
    open?.close();
    const wasConnected = this.#connected;
    this.#connected = false;
    const lost = [...this.#pending.values()];
    this.#pending.clear();
    for (const pending of lost) pending.reject(this.#failure(code, reason));
    if (wasConnected) this.#options.onState?.(false);
  }

  #fail(code: ShardFailureCode, message: string): Promise<never> {
    return Promise.reject(this.#failure(code, message));
  }

  #failure(code: ShardFailureCode, message: string): ShardFailure {
    return new ShardFailure(code, this.id, message);
  }
}

/** The attempt from which on the delay is the longest. */
const SLOWEST_ATTEMPT = 6;

/** 50 ms, doubling to 2 s: a restarted worker is used again soon, an absent one costs nothing. */
function reconnectDelayMs(attempt: number): number {
  return Math.min(2_000, 50 * 2 ** Math.min(attempt, SLOWEST_ATTEMPT));
}

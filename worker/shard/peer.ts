import type { ChannelCredentials, ClientDuplexStream, Metadata } from '@grpc/grpc-js';
import { dataChannelOptions } from '../../proto/channel.ts';
import type { ForwardRequest } from '../../proto/generated/conclave/v1/ForwardRequest.ts';
import type { ForwardResponse__Output as ForwardResponse } from '../../proto/generated/conclave/v1/ForwardResponse.ts';
import { conclave } from '../../proto/messages.ts';
import { ShardFailure, type ShardFailureCode } from './failure.ts';

/** One dispatch as the caller knows it: the peer numbers it. */
export type PeerRequest = Omit<ForwardRequest, 'dispatchId' | 'deadlineMs'>;

export interface PeerOptions {
  /** Worker id, for errors. */
  readonly id: string;
  /** host:port of the worker's gRPC services. */
  readonly address: string;
  readonly credentials: ChannelCredentials;
  /** Sent with the stream: proves membership. Called for every new stream. */
  readonly metadata: () => Metadata;
  /** Dispatches in flight beyond which new ones fail with BUSY. */
  readonly maxInFlight?: number;
  /** Milliseconds before the n-th attempt (from 0) to open the stream again. */
  readonly backoffMs?: (attempt: number) => number;
  /** Told when the peer becomes reachable and when it is lost. */
  readonly onState?: (connected: boolean) => void;
}

interface Pending {
  readonly resolve: (response: ForwardResponse) => void;
  readonly reject: (failure: ShardFailure) => void;
  readonly timer: NodeJS.Timeout;
}

type ForwardStream = ClientDuplexStream<ForwardRequest, ForwardResponse>;

/**
 * The stream to one worker's ShardService. It is opened once and opened again for as long as the peer is wanted; what was
 * in flight when it broke fails at once, so that the rows can go to another replica within the same step.
 */
export class Peer {
  readonly id: string;
  readonly address: string;
  readonly #options: PeerOptions;
  readonly #client: InstanceType<typeof conclave.ShardService>;
  readonly #pending = new Map<number, Pending>();
  #stream: ForwardStream | null = null;
  #connected = false;
  #closed = false;
  #nextId = 1;
  #attempt = 0;
  #retry: NodeJS.Timeout | null = null;

  constructor(options: PeerOptions) {
    this.id = options.id;
    this.address = options.address;
    this.#options = options;
    this.#client = new conclave.ShardService(options.address, options.credentials, dataChannelOptions);
    this.#open();
  }

  /** Whether the other side has accepted the stream. */
  get connected(): boolean {
    return this.#connected;
  }

  get inFlight(): number {
    return this.#pending.size;
  }

  /** Sends one dispatch; settles with its answer, or with a ShardFailure no later than after `deadlineMs`. */
  forward(request: PeerRequest, deadlineMs: number): Promise<ForwardResponse> {
    const stream = this.#stream;
    if (stream === null || !this.#connected) return this.#fail('PEER_LOST', 'is not connected');
    const limit = this.#options.maxInFlight ?? 64;
    if (this.#pending.size >= limit)
      return this.#fail('BUSY', `has ${this.#pending.size} dispatches in flight (limit ${limit})`);
    const dispatchId = this.#nextId++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#pending.delete(dispatchId);
        reject(this.#failure('DEADLINE', `no answer within ${Math.round(deadlineMs)} ms`));
      }, deadlineMs);
      this.#pending.set(dispatchId, { resolve, reject, timer });
      stream.write({ ...request, dispatchId, deadlineMs: Math.max(1, Math.round(deadlineMs)) });
    });
  }

  /** Ends the stream and fails what is in flight. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#lose('was closed');
    this.#client.close();
  }

  #open(): void {
    const stream = this.#client.Forward(this.#options.metadata());
    this.#stream = stream;
    stream.on('metadata', () => {
      if (this.#stream !== stream) return;
      this.#attempt = 0;
      this.#connected = true;
      this.#options.onState?.(true);
    });
    stream.on('data', (response: ForwardResponse) => this.#answer(response));
    stream.on('error', (error: Error) => this.#reopen(stream, error.message));
    stream.on('end', () => this.#reopen(stream, 'ended the stream'));
  }

  #answer(response: ForwardResponse): void {
    const pending = this.#pending.get(response.dispatchId);
    if (pending === undefined) return; // Its deadline passed; the rows are elsewhere.
    this.#pending.delete(response.dispatchId);
    clearTimeout(pending.timer);
    if (response.error === null) pending.resolve(response);
    else pending.reject(this.#failure('REFUSED', `${response.error.code}: ${response.error.message}`));
  }

  #reopen(stream: ForwardStream, reason: string): void {
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

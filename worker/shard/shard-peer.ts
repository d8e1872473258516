import { type ChannelCredentials, Client, type Metadata } from '@grpc/grpc-js';
import { dataChannelOptions } from '../../platform/rpc/channel.ts';
import type { ForwardResponse__Output as ForwardResponse } from '../../proto/generated/conclave/v1/ForwardResponse.ts';
import { sessionOf, type WorkerSession } from '../../proto/worker-session.ts';
import { BufferPool } from '../wire/buffer-pool.ts';
import { shardClientMethod } from '../wire/definition.ts';
import type { ShardFailure } from '../wire/failure.ts';
import { encodeForwardRequest, type UnsentRequest } from '../wire/frame.ts';
import { StreamPeer } from '../wire/stream-peer.ts';

export interface ShardPeerOptions {
  /** Worker id, for errors. */
  readonly id: string;
  /** host:port of the worker's gRPC services. */
  readonly address: string;
  readonly credentials: ChannelCredentials;
  /** Sent with the stream: proves membership. Called for every new stream. */
  readonly metadata: () => Metadata;
  /** Called when the peer becomes reachable and when it is lost. */
  readonly onState: (connected: boolean) => void;
  /** Called when the peer is cut off because it answers what nobody asked. */
  readonly onPoisoned: (failure: ShardFailure) => void;
}

/** The stream to one worker's ShardService. */
export class ShardPeer {
  readonly id: string;
  readonly #pool = new BufferPool();
  readonly #stream: StreamPeer<Buffer, ForwardResponse>;
  #session: WorkerSession | null = null;

  constructor(options: ShardPeerOptions) {
    const { id, address, credentials, metadata, onState, onPoisoned } = options;
    const { path, requestSerialize, responseDeserialize } = shardClientMethod;
    this.id = id;
    this.#stream = new StreamPeer<Buffer, ForwardResponse>({
      id,
      open: () => {
        const client = new Client(address, credentials, dataChannelOptions);
        const stream = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata());
        return { stream, close: () => client.close() };
      },
      idOf: (response) => response.dispatchId,
      errorOf: ({ error }) => (error === null ? null : `${error.code}: ${error.message}`),
      refuse: (answered) => {
        this.#session = sessionOf(answered);
        if (this.#session === null || this.#session.workerId === id) return null;
        return `at ${address} answers worker ${this.#session.workerId}`;
      },
      onState,
      onPoisoned,
    });
  }

  /** The process that accepted the stream last; null when it did not say. */
  get session(): WorkerSession | null {
    return this.#session;
  }

  get connected(): boolean {
    return this.#stream.connected;
  }

  /** Settles with the answer to a dispatch, or with a ShardFailure no later than after `deadlineMs`. */
  forward(request: UnsentRequest, deadlineMs: number): Promise<ForwardResponse> {
    const wait = Math.max(1, Math.round(deadlineMs));
    let memory: Buffer | undefined;
    const allocate = (bytes: number): Buffer => (memory = this.#pool.take(bytes));
    const answer = this.#stream.send((dispatchId) => encodeForwardRequest(request, dispatchId, wait, allocate), wait);
    return answer.then((response) => {
      // It was answered, so it was sent: nothing reads the request's memory any more. After a failure that is not known.
      if (memory !== undefined) this.#pool.give(memory);
      return response;
    });
  }

  /** See StreamPeer.retryNow. */
  retryNow(): void {
    this.#stream.retryNow();
  }

  close(): void {
    this.#stream.close();
  }
}

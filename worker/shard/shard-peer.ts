import { type ChannelCredentials, Client, type Metadata } from '@grpc/grpc-js';
import { dataChannelOptions } from '../../proto/channel.ts';
import type { ForwardRequest } from '../../proto/generated/conclave/v1/ForwardRequest.ts';
import type { ForwardResponse__Output as ForwardResponse } from '../../proto/generated/conclave/v1/ForwardResponse.ts';
import { shardDefinition } from './definition.ts';
import { StreamPeer } from './stream-peer.ts';

/** One dispatch as the caller knows it: the peer numbers it. */
export type PeerRequest = Omit<ForwardRequest, 'dispatchId' | 'deadlineMs'>;

export interface ShardPeerOptions {
  /** Worker id, for errors. */
  readonly id: string;
  /** host:port of the worker's gRPC services. */
  readonly address: string;
  readonly credentials: ChannelCredentials;
  /** Sent with the stream: proves membership. Called for every new stream. */
  readonly metadata: () => Metadata;
  /** Told when the peer becomes reachable and when it is lost. */
  readonly onState: (connected: boolean) => void;
}

/** The stream to one worker's ShardService. */
export class ShardPeer {
  readonly id: string;
  readonly #stream: StreamPeer<ForwardRequest, ForwardResponse>;

  constructor(options: ShardPeerOptions) {
    const { id, address, credentials, metadata, onState } = options;
    const client = new Client(address, credentials, dataChannelOptions);
    const { path, requestSerialize, responseDeserialize } = shardDefinition.Forward;
    this.id = id;
    this.#stream = new StreamPeer<ForwardRequest, ForwardResponse>({
      id,
      open: () => client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata()),
      close: () => client.close(),
      idOf: (response) => response.dispatchId,
      errorOf: ({ error }) => (error === null ? null : `${error.code}: ${error.message}`),
      onState,
    });
  }

  get connected(): boolean {
    return this.#stream.connected;
  }

  /** Settles with the answer to a dispatch, or with a ShardFailure no later than after `deadlineMs`. */
  forward(request: PeerRequest, deadlineMs: number): Promise<ForwardResponse> {
    const wait = Math.max(1, Math.round(deadlineMs));
    return this.#stream.send((dispatchId) => ({ ...request, dispatchId, deadlineMs: wait }), wait);
  }

  close(): void {
    this.#stream.close();
  }
}

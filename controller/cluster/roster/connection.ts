import { type ChannelCredentials, connectivityState, type Metadata, type ServiceError } from '@grpc/grpc-js';
import { directChannelOptions } from '../../../platform/rpc/channel.ts';
import { conclave } from '../../../proto/messages.ts';
import type { Session } from './sighting.ts';

/** A connection to a worker's address, made for one look. */
export interface Connection {
  /** Who answers; rejects with a gRPC error, no later than after `deadlineMs`. */
  identify(deadlineMs: number): Promise<Session>;
  /** Calls back once, when a connection that was made has broken. */
  onBroken(callback: () => void): void;
  close(): void;
}

/** Connections over gRPC. `metadata` proves membership. */
export function grpcConnections(
  credentials: ChannelCredentials,
  metadata: () => Metadata,
): (address: string) => Connection {
  return (address) => {
    const client = new conclave.WorkerService(address, credentials, directChannelOptions);
    return {
      identify: (deadlineMs) =>
        new Promise((resolve, reject) => {
          const deadline = Date.now() + deadlineMs;
          client.Identify({}, metadata(), { deadline }, (error: ServiceError | null, answer?: Session) => {
            if (error === null && answer !== undefined) resolve(answer);
            else reject(error ?? new Error('an answer without a body'));
          });
        }),
      onBroken: (callback) => {
        const channel = client.getChannel();
        if (channel.getConnectivityState(false) !== connectivityState.READY) queueMicrotask(callback);
        else channel.watchConnectivityState(connectivityState.READY, Number.POSITIVE_INFINITY, () => callback());
      },
      close: () => client.close(),
    };
  };
}

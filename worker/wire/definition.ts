import type { ForwardResponse } from '../../proto/generated/conclave/v1/ForwardResponse.ts';
import { conclave } from '../../proto/messages.ts';
import { BufferPool } from './buffer-pool.ts';
import { decodeForwardRequest, decodeForwardResponse, encodeForwardResponse } from './frame.ts';

const { Forward } = conclave.ShardService.service;

/** ShardService for servers, with the fast codec: the same service and the same bytes as the generated definition. */
export function shardServerDefinition() {
  const pool = new BufferPool();
  const responseSerialize = (response: ForwardResponse): Buffer => {
    let memory: Buffer | undefined;
    const message = encodeForwardResponse(response, (bytes) => (memory = pool.take(bytes)));
    // grpc-js copies a response behind its length prefix in the same turn, so the memory is free after this one.
    if (memory !== undefined) setImmediate(() => pool.give(memory as Buffer));
    return message;
  };
  return { Forward: { ...Forward, requestDeserialize: decodeForwardRequest, responseSerialize } };
}

/** The same for clients, who encode requests themselves. */
export const shardClientMethod = {
  path: Forward.path,
  requestSerialize: (message: Buffer): Buffer => message,
  responseDeserialize: decodeForwardResponse,
} as const;

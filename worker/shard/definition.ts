import type { ServiceDefinition } from '@grpc/grpc-js';
import { conclave } from '../../proto/messages.ts';
import { decodeForwardRequest, decodeForwardResponse, encodeForwardRequest, encodeForwardResponse } from './frame.ts';

/** ShardService with the fast codec: the same service and the same bytes as the generated definition. */
export const shardDefinition = {
  Forward: {
    ...conclave.ShardService.service.Forward,
    requestSerialize: encodeForwardRequest,
    requestDeserialize: decodeForwardRequest,
    responseSerialize: encodeForwardResponse,
    responseDeserialize: decodeForwardResponse,
  },
} satisfies ServiceDefinition;

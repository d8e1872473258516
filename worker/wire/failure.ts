import type { CodedError, WorkerErrorCode } from '../errors.ts';

/** Why a replica's answer could not be used. Each is a failure of that replica, and the rows go elsewhere. */
export const shardFailureCodes = [
  /** The stream broke or could not be opened. */
  'PEER_LOST',
  /** No answer within the deadline. */
  'DEADLINE',
  /** The peer takes no more dispatches now. */
  'BUSY',
  /** The peer answered with an error. */
  'REFUSED',
  /** The answer had the wrong shape, was not finite, or came from an old plan. */
  'POISONED',
] as const satisfies readonly WorkerErrorCode[];
export type ShardFailureCode = (typeof shardFailureCodes)[number];

/** A dispatch that one replica failed to answer. */
export class ShardFailure extends Error implements CodedError {
  override readonly name = 'ShardFailure';
  readonly code: ShardFailureCode;
  readonly peer: string;

  constructor(code: ShardFailureCode, peer: string, message: string) {
    super(`worker ${peer}: ${message}`);
    this.code = code;
    this.peer = peer;
  }
}

/**
 * A dispatch that cannot go elsewhere: the cache of a tensor-parallel rank or of a later stage is lost with it. The engine
 * drops its own cache and computes its sequences again.
 */
export class RankLost extends Error implements CodedError {
  override readonly name = 'RankLost';
  readonly code = 'CACHE_LOST';
  readonly peer: string;

  constructor(peer: string, options: ErrorOptions) {
    super(`worker ${peer}, which holds a part of this pipeline's cache, did not answer`, options);
    this.peer = peer;
  }
}

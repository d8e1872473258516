/** Why a replica's answer could not be used. Each is a failure of that replica, and the rows go elsewhere. */
export type ShardFailureCode =
  /** The stream broke or could not be opened. */
  | 'PEER_LOST'
  /** No answer within the deadline. */
  | 'DEADLINE'
  /** The peer takes no more dispatches now. */
  | 'BUSY'
  /** The peer answered with an error. */
  | 'REFUSED'
  /** The answer had the wrong shape, was not finite, or came from an old plan. */
  | 'POISONED';

/** A dispatch that one replica failed to answer. */
export class ShardFailure extends Error {
  override readonly name = 'ShardFailure';
  readonly code: ShardFailureCode;
  readonly peer: string;

  constructor(code: ShardFailureCode, peer: string, message: string) {
    super(`worker ${peer}: ${message}`);
    this.code = code;
    this.peer = peer;
  }
}

/** A dispatch that cannot go elsewhere: the state of a tensor-parallel rank is lost with it. */
export class RankLost extends Error {
  override readonly name = 'RankLost';
  readonly code = 'PIPELINE_LOST';
  readonly peer: string;

  constructor(peer: string, options: ErrorOptions) {
    super(`worker ${peer}, a tensor-parallel rank of this stage, did not answer; its cache is lost`, options);
    this.peer = peer;
  }
}

import type { CodedError } from '../../errors.ts';

/** Stable codes of what a request can be refused for. */
export type EngineErrorCode =
  /** The request is malformed; `field` says where. */
  | 'INVALID_ARGUMENT'
  /** A request with the same id is running. */
  | 'ALREADY_EXISTS'
  /** The queue is full; try again later or elsewhere. */
  | 'OVERLOADED'
  /** The engine is closing or closed. */
  | 'CLOSED'
  /** The engine lost its executor or broke one of its own invariants, and serves no more. */
  | 'INTERNAL';

/** Why a request was refused. A request that was accepted ends with a finish reason instead. */
export class EngineError extends Error implements CodedError {
  override readonly name = 'EngineError';
  readonly code: EngineErrorCode;
  /** Path of the offending field of the RunRequest, such as "sampling.top_p"; null when no field is at fault. */
  readonly field: string | null;

  constructor(code: EngineErrorCode, message: string, field: string | null = null) {
    super(message);
    this.code = code;
    this.field = field;
  }
}

/** An INVALID_ARGUMENT error whose message starts with the field's path. */
export function invalidArgument(field: string, problem: string): EngineError {
  return new EngineError('INVALID_ARGUMENT', `${field}: ${problem}`, field);
}

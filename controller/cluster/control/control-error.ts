import { status } from '@grpc/grpc-js';
import { type ErrorCode, ServiceError, toServiceError } from '../../errors.ts';

/** What ControlService refuses, as its clients read it. */
export class ControlError extends Error {
  readonly code: status;
  readonly details: string;

  constructor(code: status, details: string) {
    super(details);
    this.code = code;
    this.details = details;
  }
}

const codes: Readonly<Partial<Record<status, ErrorCode>>> = {
  [status.INVALID_ARGUMENT]: 'INVALID_REQUEST',
  [status.NOT_FOUND]: 'NOT_FOUND',
  [status.FAILED_PRECONDITION]: 'CONFLICT',
  [status.UNAVAILABLE]: 'UNAVAILABLE',
};

/** The same as clients over HTTP read it. */
export function overHttp(error: unknown): ServiceError {
  const code = error instanceof ControlError ? codes[error.code] : undefined;
  return code === undefined ? toServiceError(error) : new ServiceError(code, (error as ControlError).details);
}

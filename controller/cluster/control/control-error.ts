import type { status } from '@grpc/grpc-js';

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

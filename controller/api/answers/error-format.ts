/** How the APIs write errors. */
import type { ErrorCode, ServiceError } from '../../errors.ts';

export interface ErrorFormat {
  readonly body: (error: ServiceError) => object;
  /** Name of an error's event in a stream; null where events have none. */
  readonly event: string | null;
}

export const openaiErrors: ErrorFormat = {
  body: (error) => ({
    error: { message: error.message, type: error.type, param: error.field, code: error.openaiCode },
  }),
  event: null,
};

/** Anthropic's types of errors; others are "invalid_request_error". */
const anthropicTypes: Partial<Record<ErrorCode, string>> = {
  UNAUTHENTICATED: 'authentication_error',
  MODEL_NOT_FOUND: 'not_found_error',
  NOT_FOUND: 'not_found_error',
  PAYLOAD_TOO_LARGE: 'request_too_large',
  OVERLOADED: 'rate_limit_error',
  CANCELLED: 'api_error',
  INTERNAL: 'api_error',
  UNAVAILABLE: 'overloaded_error',
  DEADLINE_EXCEEDED: 'timeout_error',
};

export const anthropicErrors: ErrorFormat = {
  body: ({ code, message }) => ({
    type: 'error',
    error: { type: anthropicTypes[code] ?? 'invalid_request_error', message },
  }),
  event: 'error',
};

/** How the APIs write errors. */
import type { ErrorCode, ServiceError } from '../../errors.ts';

export interface ErrorFormat {
  readonly body: (error: ServiceError) => object;
  /** An error in a stream; its name is null where events have none. */
  readonly event: (error: ServiceError) => { readonly name: string | null; readonly data: object };
}

const openaiBody = (error: ServiceError): object => ({
  error: { message: error.message, type: error.type, param: error.field, code: error.openaiCode },
});

export const openaiErrors: ErrorFormat = {
  body: openaiBody,
  event: (error) => ({ name: null, data: openaiBody(error) }),
};

/** Clients of responses look for an error's members in either place. */
export const responseErrors: ErrorFormat = {
  body: openaiBody,
  event(error) {
    const { message, field: param, openaiCode: code } = error;
    return { name: 'error', data: { type: 'error', code, message, param, ...openaiBody(error) } };
  },
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

const anthropicBody = ({ code, message }: ServiceError): object => ({
  type: 'error',
  error: { type: anthropicTypes[code] ?? 'invalid_request_error', message },
});

export const anthropicErrors: ErrorFormat = {
  body: anthropicBody,
  event: (error) => ({ name: 'error', data: anthropicBody(error) }),
};

/**
 * Every error that the controller answers with. One row per code: HTTP status, OpenAI's `type`, gRPC status. Errors of
 * pipelines arrive as Error objects with a `code` of their own and are mapped here, by name alone.
 */
import { status } from '@grpc/grpc-js';
import { NumberText } from './number-text.ts';

const catalogue = {
  INVALID_REQUEST: { http: 400, type: 'invalid_request_error', grpc: status.INVALID_ARGUMENT },
  UNSUPPORTED: { http: 400, type: 'invalid_request_error', grpc: status.INVALID_ARGUMENT },
  CONTEXT_LENGTH_EXCEEDED: { http: 400, type: 'invalid_request_error', grpc: status.INVALID_ARGUMENT },
  UNAUTHENTICATED: { http: 401, type: 'authentication_error', grpc: status.UNAUTHENTICATED },
  MODEL_NOT_FOUND: { http: 404, type: 'invalid_request_error', grpc: status.NOT_FOUND },
  NOT_FOUND: { http: 404, type: 'invalid_request_error', grpc: status.NOT_FOUND },
  METHOD_NOT_ALLOWED: { http: 405, type: 'invalid_request_error', grpc: status.UNIMPLEMENTED },
  CONFLICT: { http: 409, type: 'invalid_request_error', grpc: status.FAILED_PRECONDITION },
  PAYLOAD_TOO_LARGE: { http: 413, type: 'invalid_request_error', grpc: status.RESOURCE_EXHAUSTED },
  UNSUPPORTED_MEDIA_TYPE: { http: 415, type: 'invalid_request_error', grpc: status.INVALID_ARGUMENT },
  OVERLOADED: { http: 429, type: 'rate_limit_error', grpc: status.RESOURCE_EXHAUSTED },
  CANCELLED: { http: 499, type: 'server_error', grpc: status.CANCELLED },
  INTERNAL: { http: 500, type: 'server_error', grpc: status.INTERNAL },
  UNAVAILABLE: { http: 503, type: 'server_error', grpc: status.UNAVAILABLE },
  DEADLINE_EXCEEDED: { http: 504, type: 'server_error', grpc: status.DEADLINE_EXCEEDED },
} as const;

/** Stable codes of the controller's errors. */
export type ErrorCode = keyof typeof catalogue;

export interface ErrorDetails {
  /** Field of the request that is at fault, such as "messages[2].content"; null when none is. */
  readonly field?: string | null;
  /** Seconds after which trying again makes sense. */
  readonly retryAfterSeconds?: number;
  readonly cause?: unknown;
}

/** OpenAI's error code, as answers and metrics have it. */
function openaiCode(code: ErrorCode): string {
  return code === 'UNAUTHENTICATED' ? 'invalid_api_key' : code.toLowerCase();
}

/** All of them. */
export const openaiCodes: readonly string[] = Object.keys(catalogue).map((code) => openaiCode(code as ErrorCode));

/** An error that a client may see. */
export class ServiceError extends Error {
  readonly code: ErrorCode;
  readonly field: string | null;
  readonly retryAfterSeconds: number | null;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'ServiceError';
    this.code = code;
    this.field = details.field ?? null;
    const retryable = code === 'OVERLOADED' || code === 'UNAVAILABLE';
    this.retryAfterSeconds = details.retryAfterSeconds ?? (retryable ? 1 : null);
  }

  get httpStatus(): number {
    return catalogue[this.code].http;
  }

  get grpcStatus(): status {
    return catalogue[this.code].grpc;
  }

  /** OpenAI's error code. */
  get openaiCode(): string {
    return openaiCode(this.code);
  }

  /** OpenAI's error type. */
  get type(): string {
    return catalogue[this.code].type;
  }
}

/** A request field that is wrong: says where, what came and what was expected. */
export class FieldError extends ServiceError {
  readonly value: unknown;
  readonly expected: string;

  constructor(field: string, value: unknown, expected: string) {
    super('INVALID_REQUEST', `${field}: expected ${expected}, got ${shown(value)}`, { field });
    this.value = value;
    this.expected = expected;
  }
}

export function invalidField(field: string, value: unknown, expected: string): FieldError {
  return new FieldError(field, value, expected);
}

/** A request field that asks for something that this server does not do. */
export function unsupportedField(field: string, reason: string): ServiceError {
  return new ServiceError('UNSUPPORTED', `${field}: ${reason}`, { field });
}

/** Codes with which pipelines fail, and what they become for clients. */
const foreignCodes: Readonly<Record<string, ErrorCode>> = {
  OVERLOADED: 'OVERLOADED',
  INVALID_REQUEST: 'INVALID_REQUEST',
  INVALID_ARGUMENT: 'INVALID_REQUEST',
  CONTEXT_LENGTH_EXCEEDED: 'CONTEXT_LENGTH_EXCEEDED',
  UNSUPPORTED: 'UNSUPPORTED',
  CANCELLED: 'CANCELLED',
  DEADLINE_EXCEEDED: 'DEADLINE_EXCEEDED',
  CLOSED: 'UNAVAILABLE',
  DRAINING: 'UNAVAILABLE',
  UNAVAILABLE: 'UNAVAILABLE',
  PIPELINE_LOST: 'UNAVAILABLE',
};

/** The error that a client gets. What is not known becomes INTERNAL, and keeps its details in `cause` for the log. */
export function toServiceError(error: unknown): ServiceError {
  if (error instanceof ServiceError) return error;
  const code = foreignCodes[errorCode(error) ?? ''];
  if (code === undefined || !(error instanceof Error)) {
    return new ServiceError('INTERNAL', 'the server failed to process the request', { cause: error });
  }
  const field = (error as { field?: unknown }).field;
  return new ServiceError(code, error.message, { field: typeof field === 'string' ? field : null, cause: error });
}

/** The `code` string of an error, if it has one. */
export function errorCode(error: unknown): string | null {
  const code = typeof error === 'object' && error !== null ? (error as { code?: unknown }).code : undefined;
  return typeof code === 'string' ? code : null;
}

/** A value of a request as an error message shows it: JSON, cut short. */
export function shown(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty array' : `an array of ${value.length}`;
  if (value instanceof NumberText) return value.text;
  if (typeof value === 'object' && value !== null) return 'an object';
  if (typeof value === 'number' || typeof value === 'bigint') return String(value);
  if (typeof value !== 'string') return JSON.stringify(value);
  return value.length > 80 ? `${JSON.stringify(value.slice(0, 80))}…` : JSON.stringify(value);
}

/**
 * Errors as HTTP answers, whatever went wrong and wherever.
 */
import type { Socket } from 'node:net';
import type { FastifyReply } from 'fastify';
import { formatBytes } from '../../../platform/process/quantities.ts';
import { errorCode, ServiceError, toServiceError } from '../../errors.ts';
import { openaiErrors } from './error-format.ts';

export function sendError(reply: FastifyReply, error: ServiceError, format = openaiErrors): FastifyReply {
  if (error.retryAfterSeconds !== null) reply.header('retry-after', String(error.retryAfterSeconds));
  if (error.code === 'UNAUTHENTICATED') reply.header('www-authenticate', 'Bearer');
  return reply.code(error.httpStatus).send(format.body(error));
}

/** Errors that the web framework raises before a route sees the request. `maxBodyBytes`: what it takes. */
export function fromFramework(error: unknown, maxBodyBytes: number): ServiceError {
  const code = errorCode(error) ?? '';
  const status = (error as { statusCode?: unknown } | null)?.statusCode;
  if (error instanceof ServiceError || !(error instanceof Error)) return toServiceError(error);
  if (status === 413) {
    return new ServiceError('PAYLOAD_TOO_LARGE', `the request body is larger than ${formatBytes(maxBodyBytes)}`);
  }
  if (status === 415) {
    return new ServiceError('UNSUPPORTED_MEDIA_TYPE', 'expected a body of content-type application/json');
  }
  if (code === 'FST_ERR_CTP_EMPTY_JSON_BODY') return new ServiceError('INVALID_REQUEST', 'the request has no body');
  if (code === 'FST_ERR_CTP_INVALID_JSON_BODY') {
    return new ServiceError('INVALID_REQUEST', 'the body is not valid JSON');
  }
  if (status === 400) return new ServiceError('INVALID_REQUEST', `the request is not valid: ${error.message}`);
  return toServiceError(error);
}

/** Answers on a connection whose request could not be parsed. */
export function answerBrokenRequest(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
  const [status, reason] =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? ['431 Request Header Fields Too Large', 'the request headers are larger than this server takes']
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? ['408 Request Timeout', 'the request did not arrive in time']
        : ['400 Bad Request', 'the request is not valid HTTP'];
  const body = JSON.stringify(openaiErrors.body(new ServiceError('INVALID_REQUEST', reason)));
  socket.end(
    `HTTP/1.1 ${status}\r\ncontent-type: application/json; charset=utf-8\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
}

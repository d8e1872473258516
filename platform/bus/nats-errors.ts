import { ErrorCode, NatsError } from 'nats';
import { BusError } from './bus.ts';

/** NatsError.code is a plain string, and so are these. */
const codes: Readonly<Record<'nobody' | 'tooLarge', string>> = {
  nobody: ErrorCode.NoResponders,
  tooLarge: ErrorCode.MaxPayloadExceeded,
};

/** The server says so when a compare-and-set finds another revision: by subject, and the form without one. */
const wrongRevision = new Set([10_071, 10_164]);

/** Whether a write failed because the key is not at the revision that it expects. */
export function isWrongRevision(error: unknown): boolean {
  return error instanceof NatsError && wrongRevision.has(error.api_error?.err_code ?? 0);
}

/** Whether the bucket that a call was for does not exist on the server (any more). */
export function isBucketMissing(error: unknown): boolean {
  return isStreamMissing(error) || (error instanceof NatsError && error.code === codes.nobody);
}

/** Whether the server that was asked knows no such stream. */
export function isStreamMissing(error: unknown): boolean {
  return error instanceof NatsError && error.api_error?.err_code === 10_059;
}

/** Whether a message of a stream is not there (any more). */
export function isMessageMissing(error: unknown): boolean {
  return error instanceof NatsError && error.api_error?.err_code === 10_037;
}

/** Whether trying again cannot help: the server knows the client and says no, or the settings make no sense. */
export function isRefusal(error: unknown): boolean {
  if (error instanceof BusError) return error.code === 'INVALID_ARGUMENT';
  if (!(error instanceof NatsError)) return error instanceof TypeError;
  return refusals.has(error.code);
}

const refusals = new Set<string>([
  ErrorCode.AuthorizationViolation,
  ErrorCode.AuthenticationExpired,
  ErrorCode.BadAuthentication,
  ErrorCode.BadCreds,
  ErrorCode.InvalidOption,
  ErrorCode.ServerOptionNotAvailable,
]);

/** Whether a connection failed because of certificates, or because one side does not speak TLS. */
export function isTlsFailure(error: unknown): boolean {
  const code = (error as { readonly code?: unknown } | null)?.code;
  return typeof code === 'string' && tlsCodes.test(code);
}

const tlsCodes = /^(ERR_TLS_|ERR_SSL_|CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|CLOSED_AFTER_HANDSHAKE$|EPROTO$)/;

/** Whether no server answered in time; one that refuses the client's certificate looks like that too. */
export function isTimeout(error: unknown): boolean {
  return error instanceof NatsError && error.code === timeout;
}

const timeout: string = ErrorCode.Timeout;

/** Reasons that the client gives by codes alone. */
const reasons: Readonly<Record<string, string>> = {
  [ErrorCode.ConnectionRefused]: 'the connection is refused',
  [ErrorCode.ConnectionTimeout]: 'it does not answer',
  [ErrorCode.Timeout]: 'it does not answer',
  [ErrorCode.NoResponders]: 'its JetStream does not answer',
};

function reasonOf(error: unknown): string {
  const known = error instanceof NatsError ? reasons[error.code] : undefined;
  return known ?? (error instanceof Error ? error.message : String(error));
}

/** Whether the server runs without JetStream, or the account may not use it. */
export function lacksJetStream(error: unknown): boolean {
  return error instanceof NatsError && (error.code === codes.nobody || error.api_error?.err_code === 10_039);
}

/** What a failed call to the server means to the caller. */
export function busError(what: string, error: unknown): BusError {
  if (error instanceof BusError) return error;
  const reason = reasonOf(error);
  const code: string = error instanceof NatsError ? error.code : '';
  if (code === codes.tooLarge) {
    return new BusError('INVALID_ARGUMENT', `${what}: the value is larger than the server's max_payload`, {
      cause: error,
    });
  }
  if (isRefusal(error) || isTlsFailure(error))
    return new BusError('INVALID_ARGUMENT', `${what}: refused: ${reason}`, { cause: error });
  return new BusError('UNAVAILABLE', `${what}: ${reason}`, { cause: error });
}

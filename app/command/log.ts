import { type DestinationStream, type Logger, pino } from 'pino';

export interface LogOptions {
  readonly level: string;
  readonly format: 'auto' | 'text' | 'json';
}

/** A logger that writes lines to `stream`: text for people on a terminal, JSON for programs. */
export function createLog(options: LogOptions, stream: NodeJS.WriteStream): Logger {
  const text = options.format === 'text' || (options.format === 'auto' && stream.isTTY);
  const destination: DestinationStream = text ? { write: (line) => void stream.write(textLine(line)) } : stream;
  const timestamp = pino.stdTimeFunctions.isoTime;
  return pino({ level: options.level, base: null, timestamp, serializers: { err: errorFields } }, destination);
}

/** Deepest chain of causes that is written. */
const MAX_CAUSES = 4;

/**
 * What a log says of an error. Nothing else: errors of TLS carry certificates, others whole requests. An error with a code
 * was foreseen: its message says all, and a stack would only hide the lines around it.
 */
export function errorFields(error: unknown, depth = 0): unknown {
  if (!(error instanceof Error)) return error;
  const { cause } = error;
  const foreseen = 'code' in error && !String(error.code).startsWith('ERR_');
  return {
    type: error.name,
    message: error.message,
    ...('code' in error && { code: error.code }),
    ...(!foreseen && { stack: error.stack }),
    ...(cause instanceof Error && depth < MAX_CAUSES && { cause: errorFields(cause, depth + 1) }),
  };
}

const levelNames: Readonly<Record<number, string>> = { 10: 'trace', 20: 'debug', 30: '', 40: 'warning', 50: 'error' };

/**
 * "12:04:05.123 warning: the message key=value: the error" from a line of JSON; the stack of an error that has one follows
 * on lines of its own.
 */
export function textLine(json: string): string {
  const { level, time, msg, err, ...rest } = JSON.parse(json) as Record<string, unknown>;
  const name = levelNames[Number(level)] ?? 'fatal';
  const fields = Object.entries(rest).map(
    ([key, value]) => ` ${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  );
  const error = isError(err) ? (err.stack === undefined ? `: ${err.message}` : `\n${err.stack}`) : '';
  const head = `${String(time).slice(11, 23)} ${name === '' ? '' : `${name}: `}`;
  return `${head}${typeof msg === 'string' ? msg : ''}${fields.join('')}${error}\n`;
}

function isError(value: unknown): value is { readonly message: string; readonly stack?: string } {
  return typeof value === 'object' && value !== null && 'message' in value;
}

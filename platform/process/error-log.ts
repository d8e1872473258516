/** Where errors that were survived are written; `more`: how often the same came since it was written last. */
export type ErrorSink = (what: string, error: unknown, more: number) => void;

/** An error that lasts is written again after this long, in milliseconds. */
const INTERVAL_MS = 60_000;
/** Kinds of errors that are remembered. */
const MAX_KINDS = 256;

/**
 * A log that an error which comes again and again cannot flood: the first time it is written at once, then at most
 * once a minute, with how often it came in between. Errors with the same code are one kind, whatever their messages say.
 * `now`: monotonic milliseconds.
 */
export function throttledErrorLog(write: ErrorSink, now: () => number): (what: string, error: unknown) => void {
  const written = new Map<string, { at: number; silent: number }>();
  return (what, error) => {
    const kind = `${what} ${causeOf(error)}`;
    const before = written.get(kind);
    if (before !== undefined && now() - before.at < INTERVAL_MS) {
      before.silent++;
      return;
    }
    if (written.size >= MAX_KINDS) written.clear();
    written.set(kind, { at: now(), silent: 0 });
    write(what, error, before?.silent ?? 0);
  };
}

export interface WarningLog {
  warn(fields: object, message: string): void;
}

/** The error log of a member of a cluster: while its bus is away, which is said elsewhere, calls that fail for it are not. */
export function memberErrorLog(
  log: WarningLog,
  bus: { readonly state: string },
  now: () => number,
): (what: string, error: unknown) => void {
  const warn = throttledErrorLog(
    (what, err, more) => log.warn({ err, ...(more > 0 && { repeated: more }) }, what),
    now,
  );
  return (what, error) => {
    if (bus.state !== 'connected' && codeOf(error) === 'UNAVAILABLE') return;
    warn(what, error);
  };
}

function causeOf(error: unknown): string {
  return codeOf(error) ?? (error instanceof Error ? error.message : String(error));
}

function codeOf(error: unknown): string | null {
  return error instanceof Error && 'code' in error ? String(error.code) : null;
}

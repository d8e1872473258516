/** Where trouble that was survived is written. */
export type TroubleSink = (what: string, error: unknown, more: number) => void;

/** The same trouble is written at most this often. */
const INTERVAL_MS = 10_000;
/** Kinds of trouble that are remembered. */
const MAX_KINDS = 256;

/**
 * A log that trouble which comes back again and again cannot flood: the first time it is written at once, then at most
 * every ten seconds, with how often it came in between. `now`: monotonic milliseconds.
 */
export function troubleLog(write: TroubleSink, now: () => number): (what: string, error: unknown) => void {
  const written = new Map<string, { at: number; silent: number }>();
  return (what, error) => {
    const kind = `${what} ${error instanceof Error ? error.message : String(error)}`;
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

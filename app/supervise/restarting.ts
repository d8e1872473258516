/** Keeps something running that may end by itself: starts it again, later each time while it does not last. */
export interface RestartingOptions {
  /** Starts it; the promise settles when it has ended, with why. */
  readonly run: () => Promise<string>;
  /** Called when it has ended and will be started again after `delayMs`. */
  readonly onEnd: (reason: string, delayMs: number) => void;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  readonly after: (ms: number, callback: () => void) => () => void;
}

const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 10_000;
/** What has run this long starts again with the first delay. */
const STEADY_MS = 10_000;

/** Starts it at once. Returns a function after which it is not started again. */
export function keepRunning({ run, onEnd, now, after }: RestartingOptions): () => void {
  let stopped = false;
  let cancel = (): void => undefined;
  let failures = 0;
  const start = (): void => {
    const startedAt = now();
    void run().then((reason) => {
      if (stopped) return;
      failures = now() - startedAt >= STEADY_MS ? 1 : failures + 1;
      const delayMs = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** (failures - 1));
      onEnd(reason, delayMs);
      cancel = after(delayMs, start);
    });
  };
  start();
  return () => {
    stopped = true;
    cancel();
  };
}

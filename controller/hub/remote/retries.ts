import type { Clock } from '../../../platform/process/clock.ts';
import { formatDuration } from '../../../platform/process/quantities.ts';
import { HubError, TransientError } from './hub-error.ts';

/** What trying again needs. */
export interface RetryContext {
  readonly clock: Clock;
  /** From 0 to 1. */
  readonly random: () => number;
  readonly signal: AbortSignal;
  /** Called before a wait of `ms`. */
  readonly onRetry: (reason: string, ms: number) => void;
}

/** Failures in a row, without progress between, after which it ends. */
const mostFailures = 6;
const firstWaitMs = 1_000;
/** Longest wait that a server may ask for; the Hub counts requests over five minutes. */
const longestWaitMs = 330_000;

/**
 * Runs `task` until it succeeds. A TransientError makes it run again after a while that doubles, or that the server asked for;
 * `progress` counts what has been achieved, and whoever achieves something has all tries again.
 */
export async function retrying<T>(
  { clock, random, signal, onRetry }: RetryContext,
  what: string,
  task: () => Promise<T>,
  progress: () => number = () => 0,
): Promise<T> {
  let failures = 0;
  let achieved = progress();
  for (;;) {
    signal.throwIfAborted();
    try {
      return await task();
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof TransientError)) throw error;
      failures = progress() > achieved ? 1 : failures + 1;
      achieved = progress();
      const waitMs = error.waitMs ?? firstWaitMs * 2 ** (failures - 1) * (0.5 + random() / 2);
      if (failures >= mostFailures || waitMs > longestWaitMs) throw unreachable(what, error, failures);
      onRetry(`${what}: ${error.message}`, waitMs);
      await sleep(clock, waitMs, signal);
    }
  }
}

function unreachable(what: string, error: TransientError, failures: number): HubError {
  const wait = error.waitMs === null ? '' : `; the server asks to wait ${formatDuration(error.waitMs)}`;
  const tries = `after ${failures} ${failures === 1 ? 'try' : 'tries'}`;
  const remedy = 'Run the same command again: what has been fetched is kept. HF_ENDPOINT names another server.';
  return new HubError('HUB_UNREACHABLE', `${what}: ${error.message}, ${tries}${wait}`, remedy, { cause: error });
}

/** Rejects with the signal's reason when it is aborted. */
export function sleep(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      cancel();
      reject(signal.reason as Error);
    };
    const cancel = clock.after(ms, () => {
      signal.removeEventListener('abort', onAbort);
      resolve();
    });
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
  });
}

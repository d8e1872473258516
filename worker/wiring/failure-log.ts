import type { Logger } from 'pino';
import { throttledErrorLog } from '../../platform/process/error-log.ts';
import type { ShardFailure } from '../wire/failure.ts';

/** Failures of one peer that come within this time are one event: a stream that breaks fails everything in flight. */
const SAME_EVENT_MS = 1_000;
/** Kinds of failures that are remembered. */
const MAX_KINDS = 1_024;

export interface FailureLogOptions {
  readonly log: Logger;
  /** Ids of the requests that run here now. */
  readonly requestIds: () => readonly string[];
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

/** Writes each failure of another worker once, with the requests that it made late; none of them fails for it. */
export function failureLog({ log, requestIds, now }: FailureLogOptions): (failure: ShardFailure) => void {
  const written = new Map<string, { at: number; silent: number }>();
  return (failure) => {
    const kind = `${failure.code} ${failure.peer}`;
    const before = written.get(kind);
    if (before !== undefined && now() - before.at < SAME_EVENT_MS) {
      before.silent++;
      return;
    }
    if (written.size >= MAX_KINDS) written.clear();
    written.set(kind, { at: now(), silent: 0 });
    const fields = { code: failure.code, peer: failure.peer, requestIds: requestIds() };
    const repeated = before === undefined || before.silent === 0 ? {} : { repeated: before.silent };
    log.warn({ ...fields, ...repeated }, `${failure.message}; its rows go elsewhere`);
  };
}

/**
 * Writes steps that failed: each one that failed a request, with its ids, and the others, whose sequences are computed
 * again, once per cause.
 */
export function stepFailureLog(
  log: Logger,
  now: () => number,
): (error: unknown, retried: readonly string[], failed: readonly string[]) => void {
  const writeRetry = throttledErrorLog(
    (what, err, more) => log.warn({ err, ...(more > 0 && { repeated: more }) }, what),
    now,
  );
  return (err, retried, failed) => {
    if (failed.length > 0) log.error({ err, retried, failed }, 'a step failed, and requests with it');
    else writeRetry('a step failed; its sequences are computed again', err);
  };
}

/** Writes that a stage loads experts itself: one line when that begins, as a worker that is gone takes experts of every layer along. */
export function coldLoadLog({
  log,
  requestIds,
  now,
}: FailureLogOptions): (layer: number, experts: readonly number[]) => void {
  const write = throttledErrorLog(
    (what, _, more) => log.warn({ requestIds: requestIds(), ...(more > 0 && { repeated: more }) }, what),
    now,
  );
  return (layer, experts) => {
    log.debug({ layer, experts }, 'loaded experts from the checkpoint');
    write('no replica answers: experts are loaded from the checkpoint', null);
  };
}

/**
 * Runs a request on a pipeline, and when that one is lost, goes on where it stopped on another, or on the same one once
 * it is back. Bounded by attempts and by the time without progress.
 */
import type { RunRequest, RunResponse } from '../../proto/messages.ts';
import { errorCode, ServiceError, toServiceError } from '../errors.ts';
import type { Pipeline } from './pipeline.ts';
import type { PipelineRouter } from './router.ts';
import { TokenLog } from './token-log.ts';

export interface ResumeOptions {
  readonly router: PipelineRouter;
  /** Most rounds over the pipelines without progress; those in which none was there to be asked do not count. */
  readonly maxAttempts: number;
  /** Longest time without progress after a pipeline was lost, in milliseconds. */
  readonly maxLostMs: number;
  /** Milliseconds, from any origin. */
  readonly now: () => number;
  /** Waits; rejects when the signal aborts. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  /** Whether more is wanted of a sequence; asked after each of its responses. What is over is stopped where it runs. */
  readonly wants: (index: number) => boolean;
  /** An attempt failed with its pipeline; the request is tried elsewhere, or there again. */
  readonly onLost: (requestId: string, error: unknown) => void;
  /** A request that had begun goes on, with its first response since its pipeline was lost. */
  readonly onResumed: () => void;
}

const lostCodes: ReadonlySet<string> = new Set(['UNAVAILABLE', 'PIPELINE_LOST', 'CLOSED', 'DRAINING']);
const firstDelayMs = 50;
const longestDelayMs = 2_000;
/** Looking for a pipeline that is ready costs nothing, and every wait for one is a gap in a client's stream. */
const lookDelayMs = 100;

/** A pipeline that ended its answer too early. */
class PipelineLost extends Error {
  readonly code = 'PIPELINE_LOST';
}

/**
 * The responses of a request, whatever pipelines they come from. Fails with a ServiceError, or with the signal's reason.
 * Ending the iteration early frees the request's sequences.
 */
export async function* runResumable(
  request: RunRequest,
  signal: AbortSignal,
  options: ResumeOptions,
): AsyncGenerator<RunResponse, void, undefined> {
  const log = new TokenLog(request);
  const avoid = new Set<Pipeline>();
  let interrupted = false;
  let failures = 0;
  let lostAt: number | null = null;
  const wait = async (delay: number, error: unknown): Promise<void> => {
    if (signal.aborted) throw signal.reason;
    lostAt ??= options.now();
    const leftMs = options.maxLostMs - (options.now() - lostAt);
    if (failures >= options.maxAttempts || leftMs <= 0) throw toServiceError(error);
    await options.sleep(Math.min(delay, leftMs), signal);
    avoid.clear();
  };
  const failed = (error: unknown): Promise<void> => {
    failures++;
    return wait(Math.min(firstDelayMs * 2 ** (failures - 1), longestDelayMs), error);
  };

  for (;;) {
    const pipeline = options.router.pick(request, avoid);
    if (pipeline === null) {
      await wait(lookDelayMs, new ServiceError('UNAVAILABLE', 'no pipeline can take the request now'));
      continue;
    }
    try {
      const attempt = log.nextAttempt();
      const stopped = new Set<number>();
      for await (const response of pipeline.run(attempt, signal)) {
        if (signal.aborted) throw signal.reason;
        refuseFailure(response);
        const fresh = log.accept(response);
        if (fresh !== null) {
          failures = 0;
          lostAt = null;
          if (interrupted) options.onResumed();
          interrupted = false;
          yield fresh;
          if (signal.aborted) throw signal.reason;
        }
        const { index, finishReason } = response;
        if (finishReason !== 'FINISH_REASON_UNSPECIFIED' || options.wants(index) || stopped.has(index)) continue;
        stopped.add(index);
        pipeline.stopSequence(attempt.requestId, index);
      }
      if (log.ended) return;
      throw new PipelineLost('the pipeline ended its answer before the sequences had ended');
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      const code = errorCode(error);
      const lost = code !== null && lostCodes.has(code);
      const full = code === 'OVERLOADED';
      if (!lost && !full) throw toServiceError(error);
      avoid.add(pipeline);
      const other = options.router.pick(request, avoid);
      if (full && !log.begun && other === null) throw toServiceError(error);
      if (lost) {
        interrupted ||= log.begun;
        options.onLost(request.requestId, error);
      }
      if (other === null) await failed(error);
    }
  }
}

/** A sequence that the pipeline gave up ends the request; a partial answer must not look like a whole one. */
function refuseFailure(response: RunResponse): void {
  if (response.finishReason === 'FINISH_REASON_ERROR') {
    throw new ServiceError('INTERNAL', 'the model could not be computed for this request');
  }
  if (response.finishReason === 'FINISH_REASON_CANCELLED') {
    throw new ServiceError('CANCELLED', 'the request was cancelled: it was read too slowly, or the server is stopping');
  }
}

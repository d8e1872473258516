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
  /** Takes what is new of a response. Returns a promise when the reader is slow; the next response waits for it. */
  readonly take: (response: RunResponse) => void | Promise<void>;
  /** Whether more is wanted of a sequence; asked after each of its responses. What is over is stopped where it runs. */
  readonly wants: (index: number) => boolean;
  /** Whether nothing more is wanted at all; asked after each response. */
  readonly over: () => boolean;
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
 * Brings the responses of a request, whatever pipelines they come from, until all its sequences have ended or nothing more is
 * wanted; the pipeline's sequences are then free. Fails with a ServiceError, with the signal's reason, or as `take` does.
 * Responses are handed over by a call, not by a generator: they come once a token, and a generator costs two promises more.
 */
export async function runResumable(request: RunRequest, signal: AbortSignal, options: ResumeOptions): Promise<void> {
  const log = new TokenLog(request);
  const retries = new Retries(request, log, signal, options);
  for (;;) {
    const pipeline = retries.pick();
    if (pipeline === null) {
      await retries.noPipeline();
      continue;
    }
    const attempt = new Attempt(pipeline, log.nextAttempt(), signal, options);
    try {
      await attempt.run(log, retries);
      if (log.ended || options.over()) return;
      throw new PipelineLost('the pipeline ended its answer before the sequences had ended');
    } catch (error) {
      if (attempt.taking) throw error;
      await retries.failed(pipeline, error);
    }
  }
}

/** One run of a request on a pipeline. */
class Attempt {
  readonly #pipeline: Pipeline;
  readonly #request: RunRequest;
  readonly #signal: AbortSignal;
  readonly #options: ResumeOptions;
  readonly #stopped = new Set<number>();
  /** Whether a response is being taken: what fails then is not the pipeline's fault. */
  taking = false;

  constructor(pipeline: Pipeline, request: RunRequest, signal: AbortSignal, options: ResumeOptions) {
    this.#pipeline = pipeline;
    this.#request = request;
    this.#signal = signal;
    this.#options = options;
  }

  async run(log: TokenLog, retries: Retries): Promise<void> {
    for await (const response of this.#pipeline.run(this.#request, this.#signal)) {
      if (this.#signal.aborted) throw this.#signal.reason;
      refuseFailure(response);
      const fresh = log.accept(response);
      if (fresh !== null) {
        retries.progressed();
        this.taking = true;
        const slow = this.#options.take(fresh);
        if (slow !== undefined) await slow;
        this.taking = false;
        if (this.#signal.aborted) throw this.#signal.reason;
      }
      if (this.#options.over()) return;
      this.#stopUnwanted(response);
    }
  }

  #stopUnwanted({ index, finishReason }: RunResponse): void {
    if (finishReason !== 'FINISH_REASON_UNSPECIFIED' || this.#options.wants(index) || this.#stopped.has(index)) return;
    this.#stopped.add(index);
    this.#pipeline.stopSequence(this.#request.requestId, index);
  }
}

/** Where a request has failed, and whether and when it is tried again. */
class Retries {
  readonly #request: RunRequest;
  readonly #log: TokenLog;
  readonly #signal: AbortSignal;
  readonly #options: ResumeOptions;
  readonly #avoid = new Set<Pipeline>();
  #interrupted = false;
  #failures = 0;
  #lostAt: number | null = null;

  constructor(request: RunRequest, log: TokenLog, signal: AbortSignal, options: ResumeOptions) {
    this.#request = request;
    this.#log = log;
    this.#signal = signal;
    this.#options = options;
  }

  pick(): Pipeline | null {
    return this.#options.router.pick(this.#request, this.#avoid);
  }

  progressed(): void {
    this.#failures = 0;
    this.#lostAt = null;
    if (this.#interrupted) this.#options.onResumed();
    this.#interrupted = false;
  }

  /** Waits a moment for a pipeline. Throws when that has taken too long. */
  noPipeline(): Promise<void> {
    return this.#wait(lookDelayMs, new ServiceError('UNAVAILABLE', 'no pipeline can take the request now'));
  }

  /** Settles when the request may be tried elsewhere, or there again. Throws when it has failed for good. */
  async failed(pipeline: Pipeline, error: unknown): Promise<void> {
    if (this.#signal.aborted) throw this.#signal.reason;
    const code = errorCode(error);
    const lost = code !== null && lostCodes.has(code);
    const full = code === 'OVERLOADED';
    if (!lost && !full) throw toServiceError(error);
    this.#avoid.add(pipeline);
    const other = this.pick();
    if (full && !this.#log.begun && other === null) throw toServiceError(error);
    if (lost) {
      this.#interrupted ||= this.#log.begun;
      this.#options.onLost(this.#request.requestId, error);
    }
    if (other !== null) return;
    this.#failures++;
    await this.#wait(Math.min(firstDelayMs * 2 ** (this.#failures - 1), longestDelayMs), error);
  }

  async #wait(delay: number, error: unknown): Promise<void> {
    if (this.#signal.aborted) throw this.#signal.reason;
    const { now, maxLostMs, maxAttempts, sleep } = this.#options;
    this.#lostAt ??= now();
    const leftMs = maxLostMs - (now() - this.#lostAt);
    if (this.#failures >= maxAttempts || leftMs <= 0) throw toServiceError(error);
    await sleep(Math.min(delay, leftMs), this.#signal);
    this.#avoid.clear();
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

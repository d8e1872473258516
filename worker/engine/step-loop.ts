import type { StepOutput } from '../../native/native.ts';
import type { Clock } from '../../platform/process/clock.ts';
import type { RunRequest } from '../../proto/messages.ts';
import { stepFailure } from '../errors.ts';
import type { Cache } from './cache/cache.ts';
import type { Engine } from './engine.ts';
import { EngineError, invalidArgument } from './request/errors.ts';
import type { EngineLimits } from './request/limits.ts';
import { checkRequest, type EngineModel } from './request/request.ts';
import type { TokenFilters } from './request/token-filters.ts';
import { RetryBackoff } from './retry-backoff.ts';
import { ActiveRun } from './run/active-run.ts';
import type { EngineObserver, EngineSnapshot } from './run/observer.ts';
import { checkStepOutput } from './run/response.ts';
import { ResponseQueue } from './run/response-queue.ts';
import type { StepPlan } from './schedule/batch.ts';
import { Scheduler } from './schedule/scheduler.ts';
import { type FinishReason, Sequence } from './schedule/sequence.ts';
import type { StepExecutor } from './step/executor.ts';

export interface StepLoopOptions {
  readonly executor: StepExecutor;
  readonly model: EngineModel;
  readonly limits: EngineLimits;
  readonly observer: EngineObserver | null;
  readonly clock: Clock;
  readonly cache: Cache;
  /** Null where constraints are refused. */
  readonly filters: TokenFilters | null;
}

/**
 * Schedules, executes, delivers. When a step returns, the next one is started first and the tokens are delivered
 * afterwards, while it computes.
 */
export class StepLoop implements Engine {
  readonly limits: EngineLimits;
  readonly #options: StepLoopOptions;
  readonly #scheduler: Scheduler;
  readonly #runs = new Map<string, ActiveRun>();
  /** While it waits, no step is started. */
  readonly #backoff: RetryBackoff;
  #accepting = true;
  #faulted = false;
  #stepsInFlight = 0;
  #lastOrder = 0;
  #preemptions = 0;
  #wakeQueued = false;
  readonly #idleWaiters: (() => void)[] = [];

  constructor(options: StepLoopOptions) {
    this.#options = options;
    this.limits = options.limits;
    this.#backoff = new RetryBackoff(options.clock);
    this.#scheduler = new Scheduler(options.limits, options.cache, (sequence) => {
      this.#preemptions++;
      options.observer?.onPreemption(sequence.request.id, sequence.index);
    });
  }

  run(request: RunRequest, signal: AbortSignal): ResponseQueue {
    let run: ActiveRun | null = null;
    const queue = new ResponseQueue({
      onStart: () => {
        run = this.#start(request, signal, queue);
      },
      onTaken: (index) => {
        if (run !== null) this.#resume(run, index);
      },
      onReturn: () => {
        if (run !== null) this.#finish(run, 'FINISH_REASON_CANCELLED');
      },
    });
    return queue;
  }

  stopSequence(requestId: string, index: number): void {
    const run = this.#runs.get(requestId);
    const sequence = run?.sequences[index];
    if (run !== undefined && sequence !== undefined) this.#end(run, [sequence], 'FINISH_REASON_STOP');
  }

  snapshot(): EngineSnapshot {
    const { running, waiting, live, cache, prefixQueriedTokens, prefixHitTokens } = this.#scheduler;
    const { blocks } = cache;
    return {
      running: running.length,
      waiting: waiting.length,
      waitingTokens: uncomputed(running) + uncomputed(waiting),
      held: live - running.length - waiting.length,
      stepsInFlight: this.#stepsInFlight,
      kvBlocks: blocks.blockCount,
      kvBlocksUsed: blocks.usedCount,
      kvUsage: blocks.usedCount / blocks.blockCount,
      prefixQueriedTokens,
      prefixHitTokens,
      preemptions: this.#preemptions,
      accepting: this.#accepting,
    };
  }

  runningRequests(): readonly string[] {
    return [...this.#runs.keys()];
  }

  async close(deadlineMs: number): Promise<void> {
    this.#accepting = false;
    const callOff = this.#options.clock.after(deadlineMs, () => this.#finishAll());
    await this.#idle();
    callOff();
  }

  async stop(): Promise<void> {
    this.#accepting = false;
    this.#finishAll();
    await this.#idle();
  }

  #start(message: RunRequest, signal: AbortSignal, queue: ResponseQueue): ActiveRun {
    if (this.#faulted) throw new EngineError('INTERNAL', 'the engine has failed and serves no more requests');
    if (!this.#accepting) throw new EngineError('CLOSED', 'the engine is closing and takes no new requests');
    const { model, limits, clock, observer } = this.#options;
    const request = checkRequest(message, model, limits);
    if (this.#runs.has(request.id)) {
      throw new EngineError('ALREADY_EXISTS', `request_id: "${request.id}" is running already`, 'request_id');
    }
    const { live } = this.#scheduler;
    const most = limits.maxSequences + limits.maxWaiting;
    if (live > 0 && live + request.outputs.length > most) {
      throw new EngineError(
        'OVERLOADED',
        `the engine holds ${live} of ${most} sequences (${limits.maxSequences} running, ${limits.maxWaiting} waiting); ` +
          `the request would add ${request.outputs.length}`,
      );
    }
    const sequences = request.outputs.map((_, index) => {
      const { constraint, stopTokens } = request;
      const filter = constraint === null ? null : this.#filters().create(constraint, stopTokens);
      return new Sequence(request, index, ++this.#lastOrder, filter);
    });
    const cancel = (): void => this.#finish(run, 'FINISH_REASON_CANCELLED');
    const run = new ActiveRun({
      request,
      sequences,
      queue,
      clock,
      observer,
      stallTimeoutMs: limits.stallTimeoutMs,
      onStalled: cancel,
      onEnded: () => {
        this.#runs.delete(request.id);
        signal.removeEventListener('abort', cancel);
      },
    });
    this.#runs.set(request.id, run);
    if (signal.aborted) {
      for (const sequence of sequences) run.reportEnd(sequence, 'FINISH_REASON_CANCELLED');
      return run;
    }
    signal.addEventListener('abort', cancel, { once: true });
    const unended = sequences.filter((sequence) => {
      const reason = sequence.outputCount > 0 ? sequence.finishReasonNow() : null;
      if (reason !== null) run.reportEnd(sequence, reason);
      return reason === null;
    });
    this.#scheduler.submit(unended);
    this.#wake();
    return run;
  }

  #filters(): TokenFilters {
    const { filters } = this.#options;
    if (filters !== null) return filters;
    throw invalidArgument(
      'constraint',
      'is not supported: the tokenizer of the checkpoint cannot be read by the worker',
    );
  }

  /** Starts steps once the current task is over, so that requests that arrive together share one. */
  #wake(): void {
    if (this.#wakeQueued) return;
    this.#wakeQueued = true;
    queueMicrotask(() => {
      this.#wakeQueued = false;
      this.#guard(() => this.#startSteps());
    });
  }

  #startSteps(): void {
    const { clock, limits } = this.#options;
    while (!this.#backoff.waiting && !this.#faulted && this.#stepsInFlight < limits.maxInFlight) {
      const startedAt = clock.now();
      const plan = this.#scheduler.schedule();
      if (plan === null) return;
      this.#execute(plan, startedAt);
    }
  }

  #execute(plan: StepPlan, scheduledAt: number): void {
    const { executor, clock, observer } = this.#options;
    const batch = plan.batch();
    const startedAt = clock.now();
    for (const sequence of plan.sequences) this.#runs.get(sequence.request.id)?.begin(startedAt);
    this.#stepsInFlight++;
    const returned = (finish: () => void): void => {
      const executeMs = clock.now() - startedAt;
      const { decodeRows: decodeTokens, rows } = plan;
      const sequences = plan.sequences.length;
      this.#stepsInFlight--;
      this.#guard(finish);
      this.#guard(() => {
        const { running, waiting } = this.#scheduler;
        observer?.onStep({
          sequences,
          decodeTokens,
          prefillTokens: rows - decodeTokens,
          running: running.length,
          waiting: waiting.length,
          executeMs,
          scheduleMs: startedAt - scheduledAt,
        });
      });
      this.#settleIdle();
    };
    let result: Promise<StepOutput>;
    try {
      result = executor.execute(batch);
    } catch (error) {
      result = Promise.reject(error);
    }
    result.then(
      (output) => returned(() => this.#stepReturned(plan, output)),
      (error: unknown) => returned(() => this.#stepFailed(plan, error)),
    );
  }

  #stepReturned(plan: StepPlan, output: StepOutput): void {
    try {
      checkStepOutput(output, plan, this.#options.model.vocabSize);
    } catch (error) {
      this.#stepFailed(plan, error);
      return;
    }
    this.#backoff.succeeded();
    this.#scheduler.complete(plan, output);
    this.#startSteps();
    for (let at = 0; at < plan.sequences.length; at++) {
      if (plan.dropped[at] === 0) this.#deliver(plan, at, output);
    }
    this.#scheduler.recycle(plan);
  }

  #stepFailed(plan: StepPlan, error: unknown): void {
    const failure = stepFailure(error);
    const { retried, failed } = this.#scheduler.fail(plan, failure);
    this.#options.observer?.onStepFailed(error, retried.map(requestId), failed.map(requestId));
    for (const sequence of failed) this.#runs.get(sequence.request.id)?.reportEnd(sequence, 'FINISH_REASON_ERROR');
    this.#scheduler.recycle(plan);
    if (failure.kind === 'fatal') {
      this.#finishAll();
      throw error;
    }
    if (failure.kind === 'transient' && retried.length > 0) {
      this.#backoff.failed(() => this.#guard(() => this.#startSteps()));
    }
    this.#startSteps();
  }

  #deliver(plan: StepPlan, at: number, output: StepOutput): void {
    const sequence = plan.sequences[at]!;
    const run = this.#runs.get(sequence.request.id);
    if (run === undefined || run.deliver(plan, at, output) < this.limits.maxUnreadTokens) return;
    this.#scheduler.pause(sequence);
    run.watchStall();
  }

  /** A consumer has caught up with a sequence. */
  #resume(run: ActiveRun, index: number): void {
    this.#scheduler.resume(run.sequences[index]!);
    run.watchStall();
    this.#wake();
  }

  /** Ends all of a request's sequences that have not ended. */
  #finish(run: ActiveRun, reason: FinishReason): void {
    this.#end(run, [...run.open], reason);
  }

  #end(run: ActiveRun, sequences: readonly Sequence[], reason: FinishReason): void {
    for (const sequence of sequences) {
      if (!run.open.has(sequence)) continue;
      this.#scheduler.end(sequence, reason);
      run.reportEnd(sequence, reason);
    }
    this.#wake();
    this.#settleIdle();
  }

  #finishAll(): void {
    for (const run of [...this.#runs.values()]) this.#finish(run, 'FINISH_REASON_ERROR');
  }

  async #idle(): Promise<void> {
    if (this.#runs.size === 0 && this.#stepsInFlight === 0) return;
    await new Promise<void>((resolve) => this.#idleWaiters.push(resolve));
  }

  #settleIdle(): void {
    if (this.#runs.size > 0 || this.#stepsInFlight > 0) return;
    for (const resolve of this.#idleWaiters.splice(0)) resolve();
  }

  /** Neither a broken invariant nor a dead executor must strand anybody: everything ends with an error, and the engine serves no more. */
  #guard(action: () => void): void {
    if (this.#faulted) return;
    try {
      action();
    } catch (error) {
      this.#faulted = true;
      this.#accepting = false;
      for (const run of [...this.#runs.values()]) {
        for (const sequence of [...run.open]) run.reportEnd(sequence, 'FINISH_REASON_ERROR');
      }
      this.#options.observer?.onFault(error);
    }
  }
}

/** Tokens that are not in the cache, but for those that sequences decode. */
function uncomputed({ items }: { readonly items: readonly Sequence[] }): number {
  return items.reduce((sum, { pending }) => (pending > 1 ? sum + pending : sum), 0);
}

function requestId(sequence: Sequence): string {
  return sequence.request.id;
}

import type { StepOutput } from '../../../native/native.ts';
import type { Clock } from '../../../platform/process/clock.ts';
import type { RunResponse } from '../../../proto/messages.ts';
import type { EngineRequest } from '../request/request.ts';
import type { StepPlan } from '../schedule/batch.ts';
import type { FinishReason, Sequence } from '../schedule/sequence.ts';
import type { EngineObserver } from './observer.ts';
import { emptyResponse, stepResponse } from './response.ts';
import type { ResponseQueue } from './response-queue.ts';

export interface ActiveRunOptions {
  readonly request: EngineRequest;
  readonly sequences: readonly Sequence[];
  readonly queue: ResponseQueue;
  readonly clock: Clock;
  readonly observer: EngineObserver | null;
  readonly stallTimeoutMs: number;
  /** The consumer has let a sequence pause for too long. */
  readonly onStalled: () => void;
  /** Every sequence's end has been reported. */
  readonly onEnded: () => void;
}

/** A request between its arrival and the end of its last sequence: what its consumer and the observer get to know of it. */
export class ActiveRun {
  readonly request: EngineRequest;
  readonly sequences: readonly Sequence[];
  /** Sequences whose end has not been reported. */
  readonly open: Set<Sequence>;
  readonly #options: ActiveRunOptions;
  readonly #arrivedAt: number;
  #startedAt: number | null = null;
  #answered = false;
  #callOffStall: (() => void) | null = null;

  constructor(options: ActiveRunOptions) {
    this.#options = options;
    this.request = options.request;
    this.sequences = options.sequences;
    this.open = new Set(options.sequences);
    this.#arrivedAt = options.clock.now();
  }

  /** A step with one of its sequences begins. */
  begin(now: number): void {
    if (this.#startedAt !== null) return;
    this.#startedAt = now;
    this.#options.observer?.onStarted(this.request.id, now - this.#arrivedAt);
  }

  /** Reports what a step brought for sequence `at` of its plan. Returns the tokens of that sequence that are unread now. */
  deliver(plan: StepPlan, at: number, output: StepOutput): number {
    const response = stepResponse(plan, at, output);
    if (response === null) return 0;
    const sequence = plan.sequences[at]!;
    if (plan.sampled[at] === 1 && sequence.outputCount === this.request.outputs[sequence.index]!.length + 1) {
      this.#options.observer?.onFirstToken(this.request.id, sequence.index, this.#sinceArrival());
    }
    const unread = this.#push(response);
    if (sequence.state !== 'ended') return unread;
    this.#close(sequence, sequence.finishReason);
    return 0;
  }

  /** Reports that a sequence has ended without a step's doing. */
  reportEnd(sequence: Sequence, reason: FinishReason): void {
    this.#push(emptyResponse(sequence.index, reason));
    this.#close(sequence, reason);
  }

  /** Restarts the stall timer while a sequence is paused, and calls it off when none is. */
  watchStall(): void {
    this.#callOffStall?.();
    const { clock, stallTimeoutMs, onStalled } = this.#options;
    const paused = this.sequences.some((sequence) => sequence.paused);
    this.#callOffStall = paused ? clock.after(stallTimeoutMs, onStalled) : null;
  }

  #push(response: RunResponse): number {
    if (!this.#answered) {
      this.#answered = true;
      response.queueMs = (this.#startedAt ?? this.#arrivedAt) - this.#arrivedAt;
      response.cachedTokens = this.sequences[response.index]!.cachedTokens ?? 0;
    }
    return this.#options.queue.push(response);
  }

  #close(sequence: Sequence, reason: FinishReason): void {
    this.open.delete(sequence);
    this.#options.observer?.onFinished({
      requestId: this.request.id,
      index: sequence.index,
      reason,
      promptTokens: this.request.prompt.length,
      outputTokens: sequence.outputCount,
      cachedTokens: sequence.cachedTokens ?? 0,
      sinceArrivalMs: this.#sinceArrival(),
    });
    if (this.open.size > 0) return;
    this.#callOffStall?.();
    this.#options.queue.end();
    this.#options.onEnded();
  }

  #sinceArrival(): number {
    return this.#options.clock.now() - this.#arrivedAt;
  }
}

import type { EngineRequest } from './request.ts';
import type { ResponseQueue } from './response-queue.ts';
import type { Sequence } from './sequence.ts';

/** A request between its arrival and the end of its last sequence. */
export class ActiveRun {
  readonly request: EngineRequest;
  readonly sequences: readonly Sequence[];
  readonly queue: ResponseQueue;
  readonly arrivedAt: number;
  /** When its first step began; null before. */
  startedAt: number | null = null;
  /** Whether a response has been pushed. */
  answered = false;
  /** Sequences whose end has not been told. */
  readonly open: Set<Sequence>;
  /** Calls the stall timer off; null when no sequence is paused. */
  cancelStall: (() => void) | null = null;
  /** Stops listening for the abort. */
  stopListening: () => void = () => {};

  constructor(request: EngineRequest, sequences: readonly Sequence[], queue: ResponseQueue, arrivedAt: number) {
    this.request = request;
    this.sequences = sequences;
    this.queue = queue;
    this.arrivedAt = arrivedAt;
    this.open = new Set(sequences);
  }
}

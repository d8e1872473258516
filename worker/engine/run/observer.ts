import type { FinishReason } from '../schedule/sequence.ts';

/** Called with what the engine does, for metrics and logs. Calls come from the step loop: they must be quick and not throw. */
export interface EngineObserver {
  /** A step came back, whether it succeeded or not. */
  onStep(step: StepReport): void;
  /** Sequences gave up their cache blocks and will be prefilled again. */
  onPreemption(requestId: string, index: number): void;
  /** A request's first step began. */
  onStarted(requestId: string, queueMs: number): void;
  /** The first token of a sequence. */
  onFirstToken(requestId: string, index: number, sinceArrivalMs: number): void;
  /** A sequence ended. */
  onFinished(sequence: FinishedSequence): void;
  /** A step could not be computed. `retried` sequences will be tried again, `failed` ones ended with an error. */
  onStepFailed(error: unknown, retried: readonly string[], failed: readonly string[]): void;
  /** The executor will not recover, or the engine broke an invariant: it serves no more. */
  onFault(error: unknown): void;
}

export interface StepReport {
  /** Sequences in the step. */
  readonly sequences: number;
  /** Rows of sequences that decode: one each. */
  readonly decodeTokens: number;
  /** Rows of prompts. */
  readonly prefillTokens: number;
  /** Sequences that run and that wait, after the step. */
  readonly running: number;
  readonly waiting: number;
  /** Milliseconds that the executor took. */
  readonly executeMs: number;
  /** Milliseconds that scheduling and building the batch took. */
  readonly scheduleMs: number;
}

export interface FinishedSequence {
  readonly requestId: string;
  readonly index: number;
  readonly reason: FinishReason;
  readonly promptTokens: number;
  readonly outputTokens: number;
  /** Prompt tokens whose cache was reused. */
  readonly cachedTokens: number;
  /** Milliseconds since the request arrived. */
  readonly sinceArrivalMs: number;
}

/** What the engine holds at this moment. */
export interface EngineSnapshot {
  /** Sequences that hold cache blocks. */
  readonly running: number;
  /** Sequences that wait for blocks or a place. */
  readonly waiting: number;
  /** Tokens of prompts, of sequences that run or wait, that are not in the cache yet. */
  readonly waitingTokens: number;
  /** Sequences that wait for a sibling's prompt or for their consumer. */
  readonly held: number;
  readonly stepsInFlight: number;
  readonly kvBlocks: number;
  /** Blocks that sequences hold; blocks that are only kept for reuse are not among them. */
  readonly kvBlocksUsed: number;
  /** kvBlocksUsed / kvBlocks. */
  readonly kvUsage: number;
  /** Prompt tokens looked up in the prefix cache, and those found, since the start. */
  readonly prefixQueriedTokens: number;
  readonly prefixHitTokens: number;
  /** Since the start. */
  readonly preemptions: number;
  /** Whether new requests are taken. */
  readonly accepting: boolean;
}

import type { Finish } from '../text/sequence-text.ts';

/** Receives what happens to requests, for metrics. Calls must be quick and not throw. Times are in milliseconds. */
export interface RequestObserver {
  /** The first response of a pipeline: how long the request had waited for its first step. */
  onStarted(queueMs: number, promptTokens: number, cachedTokens: number): void;
  /** The first token of a request. */
  onFirstToken(sinceArrivalMs: number, queueMs: number): void;
  /** Tokens of a sequence, and the time since its last ones; null for its first. */
  onTokens(count: number, gapMs: number | null): void;
  /** A sequence ended. */
  onSequenceEnded(finish: Finish, outputTokens: number): void;
  /** A request ended well. `decodeMs`: from its first to its last token. */
  onFinished(sinceArrivalMs: number, decodeMs: number): void;
  /** A request ended with an error, of OpenAI's code. */
  onFailed(code: string): void;
  /** A request is tried again, after it failed with its pipeline. */
  onRetried(): void;
  /** A request that had begun goes on after its pipeline was lost. */
  onResumed(): void;
}

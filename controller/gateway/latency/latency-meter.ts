import type { RequestObserver } from '../observer.ts';
import { BUCKETS, bucketOf } from './histogram.ts';

/** Counts by bucket of histogram.ts; empty buckets at the end are left out. */
export interface LatencyCounts {
  /** From the arrival of a request to its first token. */
  readonly timeToFirstToken: readonly number[];
  /** Between two tokens of a sequence. */
  readonly interToken: readonly number[];
  /** From the arrival of a request at its pipeline to its first step. */
  readonly queueTime: readonly number[];
}

/** Counts the times of requests between two looks at them. */
export class LatencyMeter {
  #firstToken = empty();
  #gap = empty();
  #queue = empty();
  #tokens = 0;

  /** An observer that counts, and passes everything on. */
  observe(observer: RequestObserver): RequestObserver {
    return {
      ...observer,
      onStarted: (queueMs, promptTokens, cachedTokens) => {
        count(this.#queue, queueMs, 1);
        observer.onStarted(queueMs, promptTokens, cachedTokens);
      },
      onFirstToken: (sinceArrivalMs, queueMs) => {
        count(this.#firstToken, sinceArrivalMs, 1);
        observer.onFirstToken(sinceArrivalMs, queueMs);
      },
      onTokens: (tokens, gapMs) => {
        this.#tokens += tokens;
        if (gapMs !== null) count(this.#gap, gapMs / tokens, tokens);
        observer.onTokens(tokens, gapMs);
      },
    };
  }

  /** Tokens sent since the start. */
  get tokens(): number {
    return this.#tokens;
  }

  /** What was counted since the last call; null where nothing was. */
  take(): LatencyCounts | null {
    const taken = {
      timeToFirstToken: trimmed(this.#firstToken),
      interToken: trimmed(this.#gap),
      queueTime: trimmed(this.#queue),
    };
    [this.#firstToken, this.#gap, this.#queue] = [empty(), empty(), empty()];
    return Object.values(taken).every(({ length }) => length === 0) ? null : taken;
  }
}

function empty(): number[] {
  return new Array<number>(BUCKETS).fill(0);
}

function count(counts: number[], ms: number, times: number): void {
  const bucket = bucketOf(ms);
  counts[bucket] = (counts[bucket] ?? 0) + times;
}

function trimmed(counts: readonly number[]): readonly number[] {
  return counts.slice(0, 1 + counts.findLastIndex((times) => times > 0));
}

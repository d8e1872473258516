import type { TokenFilter } from '../../../native/native.ts';
import type { RunResponse } from '../../../proto/messages.ts';
import { SequenceCache } from '../cache/sequence-cache.ts';
import type { EngineRequest } from '../request/request.ts';

export type FinishReason = RunResponse['finishReason'];

/**
 * Where a sequence stands. held: waits for its leader's prompt or its consumer. waiting: in the queue, without blocks.
 * running: holds blocks for all its tokens. ended: holds nothing.
 */
export type SequenceState = 'held' | 'waiting' | 'running' | 'ended';

/** What happens to a sequence when the step that it is in returns. */
export type OnReturn = 'continue' | 'recompute' | 'end';

/** One of a request's n sequences: its tokens, how many of them are in the cache, and where. */
export class Sequence {
  readonly request: EngineRequest;
  /** Index among the request's sequences. */
  readonly index: number;
  /** Place in the order of arrival; unique. */
  readonly order: number;
  readonly cache = new SequenceCache();
  /** Which tokens it may have next; null: all. */
  readonly filter: TokenFilter | null;
  state: SequenceState = 'held';
  inFlight = false;
  onReturn: OnReturn = 'continue';
  /** Its consumer has too much unread: it is held, or will be when its step returns. */
  paused = false;
  /** Positions whose keys and values are in the cache. */
  computed = 0;
  outputCount: number;
  finishReason: FinishReason = 'FINISH_REASON_UNSPECIFIED';
  /** Prompt tokens whose cache was reused at the first admission; null before it. */
  cachedTokens: number | null = null;
  /** Prompt positions are scored up to this row (row p scores the token at p + 1); null when they are not to be scored. */
  scored: number | null;
  /** Consecutive failed steps. */
  failures = 0;
  /** Runs alone, because it may be what made a step fail. */
  isolated = false;
  /** Sequences held until this one's prompt is in the cache. */
  followers: readonly Sequence[] = [];
  #outputs: Int32Array;

  constructor(request: EngineRequest, index: number, order: number, filter: TokenFilter | null = null) {
    this.request = request;
    this.index = index;
    this.order = order;
    this.filter = filter;
    this.scored = index === 0 && request.promptLogprobs >= 0 ? 0 : null;
    const outputs = request.outputs[index] ?? [];
    this.#outputs = new Int32Array(Math.max(outputs.length, Math.min(request.maxTokens, 32)));
    this.#outputs.set(outputs);
    this.outputCount = outputs.length;
  }

  /** Tokens, prompt and output together. */
  get length(): number {
    return this.request.prompt.length + this.outputCount;
  }

  /** Tokens that are not in the cache yet. 1: the sequence decodes. */
  get pending(): number {
    return this.length - this.computed;
  }

  tokenAt(position: number): number {
    const { prompt } = this.request;
    return position < prompt.length ? prompt[position]! : this.#outputs[position - prompt.length]!;
  }

  /** Copies tokens [start, end) to `target` at `offset`. */
  copyTokens(start: number, end: number, target: Int32Array, offset: number): void {
    const { prompt } = this.request;
    const split = Math.min(end, prompt.length);
    if (start < split) target.set(prompt.subarray(start, split), offset);
    for (let position = Math.max(start, prompt.length); position < end; position++) {
      target[offset + position - start] = this.#outputs[position - prompt.length]!;
    }
  }

  /** The tokens generated so far, without a copy; valid as long as the sequence is in flight. */
  outputs(): Int32Array {
    return this.#outputs.subarray(0, this.outputCount);
  }

  append(token: number): void {
    if (this.outputCount === this.#outputs.length) {
      const grown = new Int32Array(Math.max(32, this.#outputs.length * 2));
      grown.set(this.#outputs);
      this.#outputs = grown;
    }
    this.#outputs[this.outputCount++] = token;
  }

  /** Whether a token is to be sampled once all tokens are in the cache. */
  get wantsToken(): boolean {
    return this.outputCount < this.request.maxTokens;
  }

  /** Why the sequence ends with the tokens it has; null when it goes on. */
  finishReasonNow(): FinishReason | null {
    const { stopTokens, maxTokens } = this.request;
    if (this.outputCount > 0 && stopTokens.has(this.#outputs[this.outputCount - 1]!)) return 'FINISH_REASON_STOP';
    return this.outputCount >= maxTokens ? 'FINISH_REASON_LENGTH' : null;
  }

  /** Positions that may come from the cache: the last token is always computed, and so are prompt positions to score. */
  get reusable(): number {
    return this.scored === null ? this.length - 1 : Math.min(this.length - 1, this.scored);
  }
}

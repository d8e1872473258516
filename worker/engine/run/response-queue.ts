import type { RunResponse } from '../../../proto/messages.ts';

/** What the queue reports to the engine. */
export interface ResponseQueueEvents {
  /** The consumer asks for the first time. A throw refuses the request. */
  onStart(): void;
  /** A response was taken that was not awaited: its sequence has nothing unread any more. */
  onTaken(index: number): void;
  /** The consumer will ask no more. */
  onReturn(): void;
}

/**
 * The responses of one request on their way to its consumer. What a slow consumer has not taken is merged into one
 * response per sequence, so the queue holds as many tokens as the engine lets a sequence have unread, and no more objects
 * than sequences. Nothing happens before the first `next()`, so a request that nobody reads costs nothing.
 */
export class ResponseQueue implements AsyncIterableIterator<RunResponse> {
  readonly #events: ResponseQueueEvents;
  /** Unread responses in order of their first token, at most one per sequence. */
  readonly #unread: RunResponse[] = [];
  readonly #waiters: { readonly resolve: (result: IteratorResult<RunResponse>) => void }[] = [];
  #state: 'new' | 'open' | 'ended' = 'new';

  constructor(events: ResponseQueueEvents) {
    this.#events = events;
  }

  /** Hands a response over; returns the tokens and scored positions of its sequence that are unread now. */
  push(response: RunResponse): number {
    if (this.#state === 'ended') return 0;
    const waiter = this.#waiters.shift();
    if (waiter !== undefined) {
      waiter.resolve({ done: false, value: response });
      return 0;
    }
    const earlier = this.#unread.find((candidate) => candidate.index === response.index);
    if (earlier === undefined) this.#unread.push(response);
    else merge(earlier, response);
    const unread = earlier ?? response;
    return unread.tokenIds.length + unread.promptLogprobs.length;
  }

  /** Ends the stream behind what is unread. */
  end(): void {
    this.#state = 'ended';
    for (const waiter of this.#waiters.splice(0)) waiter.resolve({ done: true, value: undefined });
  }

  next(): Promise<IteratorResult<RunResponse>> {
    if (this.#state === 'new') {
      this.#state = 'open';
      try {
        this.#events.onStart();
      } catch (error) {
        this.end();
        return Promise.reject(error);
      }
    }
    const value = this.#unread.shift();
    if (value !== undefined) {
      this.#events.onTaken(value.index);
      return Promise.resolve({ done: false, value });
    }
    if (this.#state === 'ended') return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve) => this.#waiters.push({ resolve }));
  }

  return(): Promise<IteratorResult<RunResponse>> {
    const started = this.#state === 'open';
    this.#unread.length = 0;
    this.end();
    if (started) this.#events.onReturn();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }
}

function merge(earlier: RunResponse, later: RunResponse): void {
  earlier.tokenIds.push(...later.tokenIds);
  earlier.logprobs.push(...later.logprobs);
  earlier.promptLogprobs.push(...later.promptLogprobs);
  earlier.finishReason = later.finishReason;
}

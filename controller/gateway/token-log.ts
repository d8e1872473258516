/**
 * What the gateway remembers of a running request so that it can go on elsewhere: every token that came, per sequence,
 * and which prompt positions were scored. Invariant: what `accept` returns, over all attempts together, is what one
 * attempt without failure would have brought: nothing twice, nothing missing.
 */
import type { RunRequest, RunResponse } from '../../proto/messages.ts';
import { ServiceError } from '../errors.ts';

export class TokenLog {
  readonly #request: RunRequest;
  readonly #sequences: number[][];
  readonly #ended: boolean[];
  #running: number;
  /** Prompt positions whose scores came, in all attempts and in the current one. */
  #scored = 0;
  #scoredNow = 0;
  #attempts = 0;

  constructor(request: RunRequest) {
    this.#request = request;
    this.#sequences = Array.from({ length: request.n }, () => []);
    this.#ended = this.#sequences.map(() => false);
    this.#running = request.n;
  }

  /** Whether all sequences have ended. */
  get ended(): boolean {
    return this.#running === 0;
  }

  /** Whether anything has come yet. */
  get begun(): boolean {
    return this.#scored > 0 || this.#running < this.#sequences.length || this.#sequences.some((ids) => ids.length > 0);
  }

  /** The request for the next attempt. */
  nextAttempt(): RunRequest {
    this.#scoredNow = 0;
    this.#attempts++;
    if (this.#attempts === 1) return this.#request;
    return {
      ...this.#request,
      requestId: `${this.#request.requestId}.${this.#attempts}`,
      limits: this.#limits(),
      outputTokenIds: this.begun ? this.#sequences.map((ids) => ({ ids: [...ids] })) : [],
    };
  }

  /** The part of a response that is new; null when nothing of it is. */
  accept(response: RunResponse): RunResponse | null {
    const { index, tokenIds } = response;
    const ids = this.#sequences[index];
    if (ids === undefined) {
      throw new ServiceError('INTERNAL', `the pipeline answered for sequence ${index} of ${this.#sequences.length}`);
    }
    const promptLogprobs = this.#newScores(response);
    if (this.#ended[index] === true) return promptLogprobs.length > 0 ? { ...bare(response), promptLogprobs } : null;
    for (const id of tokenIds) ids.push(id);
    if (response.finishReason !== 'FINISH_REASON_UNSPECIFIED') {
      this.#ended[index] = true;
      this.#running--;
    }
    return promptLogprobs.length === response.promptLogprobs.length ? response : { ...response, promptLogprobs };
  }

  /** What was scored completely is not asked for again. */
  #limits(): RunRequest['limits'] {
    const { limits, promptTokenIds } = this.#request;
    if (limits?.promptLogprobs === undefined || this.#scored < promptTokenIds.length) return limits;
    const { promptLogprobs: _, ...rest } = limits;
    return rest;
  }

  #newScores(response: RunResponse): RunResponse['promptLogprobs'] {
    const scores = response.promptLogprobs;
    if (scores.length === 0) return scores;
    const known = Math.max(0, Math.min(scores.length, this.#scored - this.#scoredNow));
    this.#scoredNow += scores.length;
    this.#scored = Math.max(this.#scored, this.#scoredNow);
    return known === 0 ? scores : scores.slice(known);
  }
}

function bare(response: RunResponse): RunResponse {
  return { ...response, tokenIds: [], logprobs: [], finishReason: 'FINISH_REASON_UNSPECIFIED' };
}

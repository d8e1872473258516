/** What the responses of one prompt's sequences become: text, piece by piece, until all sequences have ended. */
import type { RunResponse } from '../../proto/messages.ts';
import type { SequenceText } from '../text/sequence-text.ts';
import type { Generation, Progress, PromptResult } from './inference.ts';
import type { RequestMeter } from './request-meter.ts';

/** Takes what comes of a prompt. Returns a promise when the reader is slow; the next piece waits for it. */
export type AddOne = (progress: Progress) => void | Promise<void>;

export class PromptAnswer {
  readonly #sequences: readonly SequenceText[];
  readonly #meter: RequestMeter;
  readonly #add: AddOne;
  #promptLogprobs: PromptResult['promptLogprobs'] = [];
  #cachedTokens: number | null = null;
  #prompted = false;
  #running: number;

  constructor(sequences: readonly SequenceText[], meter: RequestMeter, add: AddOne) {
    this.#sequences = sequences;
    this.#meter = meter;
    this.#add = add;
    this.#running = sequences.length;
  }

  /** Whether all sequences have ended for the reader. */
  get over(): boolean {
    return this.#running === 0;
  }

  wants(index: number): boolean {
    return this.#sequences[index]?.ended === false;
  }

  take(response: RunResponse): void | Promise<void> {
    this.#meter.onResponse(response);
    this.#cachedTokens ??= response.cachedTokens;
    if (response.promptLogprobs.length > 0) this.#promptLogprobs = this.#promptLogprobs.concat(response.promptLogprobs);
    const sequence = this.#sequences[response.index] as SequenceText;
    const piece = sequence.accept(response);
    if (piece === null || (piece.tokenIds.length === 0 && piece.finish === null)) return undefined;
    this.#meter.onPiece(piece, sequence.tokens);
    const prompt = this.#prompted ? null : { promptLogprobs: this.#promptLogprobs, cachedTokens: this.#cachedTokens };
    this.#prompted = true;
    if (piece.finish !== null) this.#running--;
    return this.#add({ piece, prompt });
  }
}

/** Nothing is to be generated and nothing to be scored: no pipeline is needed. */
export async function addNothing(generation: Generation, add: AddOne): Promise<void> {
  const finish = { reason: 'length', stop: null } as const;
  for (let index = 0; index < generation.n; index++) {
    const prompt = index === 0 ? { promptLogprobs: [], cachedTokens: 0 } : null;
    await add({ piece: { index, text: '', tokenIds: [], logprobs: [], textOffsets: [], finish }, prompt });
  }
}

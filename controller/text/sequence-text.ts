/**
 * One sequence of a request on its way from tokens to text: detokenised, searched for stop texts, counted.
 */
import type { RunResponse } from '../../proto/messages.ts';
import { Detokenizer } from './detokenizer.ts';
import { type StopPatterns, StopTexts } from './stop-texts.ts';
import type { TokenTable } from './token-table.ts';

/** Why a sequence ended. `stop` is the stop text or stop token id; null for the model's own end of sequence. */
export type Finish =
  | { readonly reason: 'stop'; readonly stop: string | number | null }
  | { readonly reason: 'length'; readonly stop: null };

/** What one response brought for a sequence. */
export interface Piece {
  readonly index: number;
  /** Text that became final: never half a character, never part of a stop text. */
  readonly text: string;
  readonly tokenIds: readonly number[];
  /** Same length as tokenIds when asked for, else empty. */
  readonly logprobs: RunResponse['logprobs'];
  /** Where each token begins in the sequence's text, in code points; empty unless asked for. */
  readonly textOffsets: readonly number[];
  readonly finish: Finish | null;
}

export interface SequenceTextOptions {
  readonly table: TokenTable;
  readonly prompt: readonly number[];
  readonly skipSpecialTokens: boolean;
  /** Special tokens that are not skipped all the same. */
  readonly shownTokens: ReadonlySet<number>;
  readonly stop: StopPatterns;
  /** Stop texts are looked for behind this many tokens. */
  readonly minTokens: number;
  /** Keep the stop text, or the text of the stop token, in the output. */
  readonly includeStop: boolean;
  /** Token ids that end the sequence because the request says so. */
  readonly stopTokenIds: ReadonlySet<number>;
  /** Stop texts that are tokens, by their ids. */
  readonly stopTokenTexts: ReadonlyMap<number, string>;
  /** Token ids that end the sequence because the model says so; empty when they are ignored. */
  readonly eosTokenIds: ReadonlySet<number>;
  readonly textOffsets: boolean;
}

export class SequenceText {
  readonly #index: number;
  readonly #options: SequenceTextOptions;
  readonly #detokenizer: Detokenizer;
  readonly #stops: StopTexts;
  /** Code points of text so far, held back text included. */
  #length = 0;
  /** Tokens generated so far. */
  tokens = 0;
  ended = false;

  constructor(index: number, options: SequenceTextOptions) {
    this.#index = index;
    this.#options = options;
    this.#detokenizer = new Detokenizer(options.table, {
      skipSpecialTokens: options.skipSpecialTokens,
      keep: options.includeStop
        ? new Set([...options.shownTokens, ...options.stopTokenTexts.keys()])
        : options.shownTokens,
      prefix: options.prompt,
    });
    this.#stops = new StopTexts(options.stop, options.includeStop);
  }

  /** Null once the sequence has ended. */
  accept(response: RunResponse): Piece | null {
    if (this.ended) return null;
    const ids = response.tokenIds;
    const offsets: number[] = [];
    let text = '';
    let stop: string | null = null;
    let taken = 0;
    while (taken < ids.length && stop === null) {
      const id = ids[taken++] as number;
      if (this.#options.textOffsets) offsets.push(this.#length);
      const stopsHere = taken === ids.length && response.finishReason === 'FINISH_REASON_STOP' && this.#isStop(id);
      if (stopsHere && !this.#options.includeStop) break;
      const pushed = this.#count(this.#detokenizer.push(id));
      const found =
        this.tokens + taken > this.#options.minTokens ? this.#stops.push(pushed) : { text: pushed, stop: null };
      text += found.text;
      stop = found.stop;
    }
    this.tokens += taken;
    const finish = stop === null ? this.#finish(response) : ({ reason: 'stop', stop } as const);
    if (finish !== null && stop === null) {
      const rest = this.#stops.push(this.#count(this.#detokenizer.flush()));
      text += rest.text + (rest.stop === null ? this.#stops.flush() : '');
    }
    this.ended = finish !== null;
    return {
      index: this.#index,
      text,
      tokenIds: taken === ids.length ? ids : ids.slice(0, taken),
      logprobs: taken === ids.length ? response.logprobs : response.logprobs.slice(0, taken),
      textOffsets: offsets,
      finish,
    };
  }

  #isStop(id: number): boolean {
    const { eosTokenIds, stopTokenIds, stopTokenTexts } = this.#options;
    return eosTokenIds.has(id) || stopTokenIds.has(id) || stopTokenTexts.has(id);
  }

  #finish(response: RunResponse): Finish | null {
    if (response.finishReason === 'FINISH_REASON_LENGTH') return { reason: 'length', stop: null };
    if (response.finishReason !== 'FINISH_REASON_STOP') return null;
    const last = response.tokenIds.at(-1);
    const text = last === undefined ? undefined : this.#options.stopTokenTexts.get(last);
    if (text !== undefined) return { reason: 'stop', stop: text };
    const asked = last !== undefined && this.#options.stopTokenIds.has(last) && !this.#options.eosTokenIds.has(last);
    return { reason: 'stop', stop: asked ? last : null };
  }

  #count(text: string): string {
    if (this.#options.textOffsets) this.#length += codePoints(text);
    return text;
  }
}

/** Length of a text in code points. */
export function codePoints(text: string): number {
  let count = text.length;
  for (let i = 0; i < text.length; i++) if ((text.charCodeAt(i) & 0xfc00) === 0xdc00) count--;
  return count;
}

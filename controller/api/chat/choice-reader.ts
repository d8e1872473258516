/** Reads the pieces of each choice as reasoning, content and calls. */
import { type AnswerParser, type AnswerPart, joinParts } from '../../text/answer/answer-part.ts';
import type { Piece } from '../../text/sequence-text.ts';

export class ChoiceReaders {
  readonly #parsers: readonly AnswerParser[];
  readonly #calling = new Set<number>();

  constructor(n: number, answerParser: () => AnswerParser) {
    this.#parsers = Array.from({ length: n }, answerParser);
  }

  /** What a choice's next piece says; neighbouring parts of one kind are joined. */
  read({ index, text, tokenIds, finish }: Piece): readonly AnswerPart[] {
    const parser = this.#parsers[index] as AnswerParser;
    const parts = parser.push(text, tokenIds.length);
    const all = finish === null ? parts : [...parts, ...parser.end()];
    if (all.some(({ kind }) => kind === 'tool-call')) this.#calling.add(index);
    return all.length > 1 ? joinParts(all) : all;
  }

  /** Whether a choice has called a tool. */
  calls(index: number): boolean {
    return this.#calling.has(index);
  }

  /** Of all choices. */
  get reasoningTokens(): number {
    return this.#parsers.reduce((sum, { reasoningTokens }) => sum + reasoningTokens, 0);
  }
}

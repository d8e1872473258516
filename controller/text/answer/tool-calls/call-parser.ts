/** Finds calls of tools in a text: what stands around them, and what only looks like one, is content. */
import type { AnswerPart } from '../answer-part.ts';
import { Broken, PieceReader, type Reading } from '../reading/piece-reader.ts';
import { type CallOptions, CallWriter } from './call-writer.ts';
import type { ToolFormat } from './tool-format.ts';
import type { ToolSchemas } from './tool-schemas.ts';

export class CallParser {
  readonly #source = new PieceReader();
  readonly #format: ToolFormat;
  readonly #tools: ToolSchemas;
  readonly #calls: CallWriter;
  readonly #reading: Reading;
  #parts: AnswerPart[] = [];
  /** Blanks that are content only if something else comes, or no call does. */
  #blanks = '';
  #sawContent = false;

  constructor(format: ToolFormat, tools: ToolSchemas, options: CallOptions) {
    this.#format = format;
    this.#tools = tools;
    this.#calls = new CallWriter(this.#source, options, (part) => {
      this.#blanks = '';
      this.#sawContent = false;
      this.#parts.push(part);
    });
    this.#reading = this.#read();
    this.#reading.next();
  }

  push(text: string): readonly AnswerPart[] {
    if (text !== '') {
      this.#source.add(text);
      this.#reading.next();
    }
    return this.#taken();
  }

  end(): readonly AnswerPart[] {
    this.#source.ended = true;
    this.#reading.next();
    if (this.#calls.count === 0 && this.#blanks !== '') this.#parts.push({ kind: 'content', text: this.#blanks });
    return this.#taken();
  }

  #taken(): readonly AnswerPart[] {
    const parts = this.#parts;
    this.#parts = [];
    return parts;
  }

  *#read(): Reading {
    const { begins, bare = [], framing = [] } = this.#format;
    if (bare.length > 0) yield* this.#readBare(bare);
    const marks = [...begins, ...framing];
    for (;;) {
      const mark = yield* this.#source.until(marks, (text) => this.#content(text));
      if (mark === null) return;
      if (!framing.includes(mark)) yield* this.#section(mark);
    }
  }

  /** An answer that may be a call from its first character on. */
  *#readBare(first: readonly string[]): Reading {
    this.#source.hold();
    yield* this.#source.blanks();
    const next = yield* this.#source.peek();
    if (first.includes(next)) yield* this.#section(null);
    else this.#source.giveBack();
    this.#source.release();
  }

  /** `mark`: what calls began with, null where there was none. */
  *#section(mark: string | null): Reading {
    if (mark !== null) this.#source.hold(mark);
    const before = this.#calls.settled;
    try {
      yield* this.#format.read(this.#source, this.#calls, mark ?? '', this.#tools);
      if (this.#calls.settled > before) return this.#source.release();
    } catch (error) {
      if (!(error instanceof Broken)) throw error;
    }
    this.#calls.undo();
    this.#source.giveBack();
    // The mark is content now; another call may begin right behind it.
    if (this.#calls.settled === before && mark !== null) this.#content(this.#source.take(mark.length));
  }

  #content(text: string): void {
    const shown = this.#blanks + text;
    if (!this.#sawContent && shown.trim() === '') {
      this.#blanks = shown;
      return;
    }
    this.#sawContent = true;
    this.#blanks = '';
    this.#parts.push({ kind: 'content', text: shown });
  }
}

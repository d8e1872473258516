/**
 * Answers of gpt-oss: messages with a header, which names a channel and who it goes to, and a body. What goes to a function is
 * a call, what is on the channel `analysis` is reasoning, all else content.
 */
import type { AnswerPart } from '../answer-part.ts';
import { readJson } from '../reading/json-reader.ts';
import { Broken, PieceReader, type Reading } from '../reading/piece-reader.ts';
import { type CallOptions, CallWriter } from '../tool-calls/call-writer.ts';

/** Every mark, to be seen where it is a special token. */
export const harmonyMarks = [
  ...['<|start|>', '<|channel|>', '<|message|>', '<|constrain|>', '<|end|>', '<|call|>', '<|return|>'],
] as const;

const ends = ['<|end|>', '<|call|>', '<|return|>', '<|start|>'] as const;
const headers = ['<|start|>', '<|channel|>', '<|end|>', '<|call|>', '<|return|>'] as const;

export class HarmonyParser {
  readonly #source = new PieceReader();
  readonly #calls: CallWriter;
  readonly #reading: Reading;
  #parts: AnswerPart[] = [];
  inside: boolean;

  /** `inside`: the prompt ends within a message on the channel `analysis`. */
  constructor(inside: boolean, options: CallOptions) {
    this.inside = inside;
    this.#calls = new CallWriter(this.#source, options, (part) => this.#parts.push(part));
    this.#reading = this.#read();
    this.#reading.next();
  }

  push(text: string): readonly AnswerPart[] {
    this.#source.add(text);
    this.#reading.next();
    return this.#taken();
  }

  end(): readonly AnswerPart[] {
    this.#source.ended = true;
    this.#reading.next();
    return this.#taken();
  }

  #taken(): readonly AnswerPart[] {
    const parts = this.#parts;
    this.#parts = [];
    return parts;
  }

  /** A text that no header comes before goes on with what the prompt ends with. */
  *#read(): Reading {
    for (;;) {
      const kind = this.inside ? 'reasoning' : 'content';
      const mark = yield* this.#source.until(headers, (text) => this.#text(kind, text));
      this.inside = false;
      if (mark === null) return;
      if (mark === '<|start|>' || mark === '<|channel|>') yield* this.#message(mark);
    }
  }

  *#message(mark: string): Reading {
    const header: string[] = [mark];
    const end = yield* this.#source.until(['<|message|>', ...ends], (text) => header.push(text));
    if (end !== '<|message|>') {
      // Without a body there is nothing to show; a header that another one follows begins again.
      if (end === '<|start|>') yield* this.#message(end);
      return;
    }
    const [, channel = 'final'] = /<\|channel\|>\s*(\w+)/.exec(header.join('')) ?? [];
    const [, recipient = null] = /\bto=([^\s<]+)/.exec(header.join('')) ?? [];
    if (recipient === null || recipient === 'user' || recipient === 'all') yield* this.#body(channel);
    else yield* this.#call(recipient.replace(/^functions\./, ''));
  }

  *#body(channel: string): Reading {
    const kind = channel === 'analysis' ? 'reasoning' : 'content';
    this.inside = kind === 'reasoning';
    const end = yield* this.#source.until(ends, (text) => this.#text(kind, text));
    if (end !== null) this.inside = false;
    if (end === '<|start|>') yield* this.#message(end);
  }

  *#call(name: string): Reading {
    this.#source.hold();
    try {
      yield* this.#source.blanks();
      const first = yield* this.#source.option(ends);
      if (first === null && (yield* this.#source.peek()) !== '{') throw new Broken();
      this.#calls.begin(name);
      if (first === null) yield* readJson(this.#source, (text) => this.#calls.arguments(text));
      else this.#calls.arguments('{}');
      this.#calls.end();
      this.#source.release();
      if (first === '<|start|>') yield* this.#message(first);
    } catch (error) {
      if (!(error instanceof Broken)) throw error;
      this.#calls.undo();
      this.#source.giveBack();
    }
  }

  #text(kind: 'reasoning' | 'content', text: string): void {
    this.#parts.push({ kind, text });
  }
}

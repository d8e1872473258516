/**
 * Parts what a model thinks from what it answers. Only what an answer begins with is reasoning. Line ends next to the marks
 * belong to the marks: templates put them there again.
 */
import { PieceReader, type Reading } from '../reading/piece-reader.ts';
import type { ReasoningFormat } from './reasoning-format.ts';

export interface ReasoningSinks {
  readonly reasoning: (text: string) => void;
  readonly content: (text: string) => void;
}

export class ReasoningSplitter {
  readonly #source = new PieceReader();
  readonly #format: ReasoningFormat;
  readonly #sinks: ReasoningSinks;
  readonly #reading: Reading;
  #done = false;
  /** Whether what comes next is reasoning, as far as is known. */
  inside: boolean;

  constructor(format: ReasoningFormat, inside: boolean, sinks: ReasoningSinks) {
    this.#format = format;
    this.#sinks = sinks;
    this.inside = inside;
    this.#reading = this.#read();
    this.#reading.next();
  }

  push(text: string): void {
    if (this.#done) return this.#sinks.content(text);
    this.#source.add(text);
    this.#reading.next();
  }

  end(): void {
    this.#source.ended = true;
    if (!this.#done) this.#reading.next();
  }

  *#read(): Reading {
    const { begins, framing, heading = [] } = this.#format;
    this.#source.hold();
    yield* this.#source.blanks();
    const begun = (yield* this.#source.option(begins)) !== null;
    if (!begun) this.#source.giveBack();
    this.#source.release();
    if (begun || this.inside) yield* this.#readReasoning();
    if (heading.length > 0) while ((yield* this.#source.option(heading)) !== null);
    if (framing.length > 0) yield* this.#readFramed(begun);
    this.#sinks.content(this.#source.take(this.#source.ahead.length));
    this.#done = true;
  }

  *#readReasoning(): Reading {
    this.inside = true;
    const trimmed = new TrimmedLines(this.#sinks.reasoning);
    const end = yield* this.#source.until(this.#format.ends, (text) => trimmed.add(text));
    this.inside = false;
    if (end === null) return trimmed.end(true);
    trimmed.end(false);
    // A mark that begins something else as well is that thing's.
    this.#source.hold(end.startsWith('<|tool') ? end : '');
    if (end.startsWith('<|tool')) return this.#source.giveBack();
    yield* this.#lineEnds();
  }

  *#lineEnds(): Reading {
    while ((yield* this.#source.option(['\n', '\r\n'])) !== null);
  }

  /** Answers between marks of their own. */
  *#readFramed(reasoned: boolean): Reading {
    const [open = '', close = ''] = this.#format.framing;
    this.#source.hold();
    yield* this.#source.blanks();
    if ((yield* this.#source.option([open])) === null) {
      if (!reasoned) this.#source.giveBack();
      return this.#source.release();
    }
    const trimmed = new TrimmedLines(this.#sinks.content);
    const end = yield* this.#source.until([close], (text) => trimmed.add(text));
    trimmed.end(end === null);
    yield* this.#source.blanks();
  }
}

/** Hands a text on without the line ends that it begins and ends with. */
class TrimmedLines {
  readonly #sink: (text: string) => void;
  #begun = false;
  #held = '';

  constructor(sink: (text: string) => void) {
    this.#sink = sink;
  }

  add(piece: string): void {
    const text = this.#begun ? this.#held + piece : piece.replace(/^[\r\n]+/, '');
    this.#begun ||= text !== '';
    const shown = text.replace(/[\r\n]+$/, '');
    this.#held = text.slice(shown.length);
    if (shown !== '') this.#sink(shown);
  }

  /** `whole`: the text goes on no further, so that its last line ends are its own. */
  end(whole: boolean): void {
    if (whole && this.#held !== '') this.#sink(this.#held);
  }
}

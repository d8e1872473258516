/**
 * Numbers and names calls. A stream gets arguments as they come; a document gets whole calls alone, so that a call that breaks
 * off comes back as the text that it was.
 */
import type { AnswerPart } from '../answer-part.ts';
import type { PieceReader } from '../reading/piece-reader.ts';

export interface CallOptions {
  /** Whether calls are sent before they have ended. */
  readonly streamed: boolean;
  /** Whether an answer may have more than one call; others are left out. */
  readonly parallel: boolean;
  readonly newId: () => string;
}

export class CallWriter {
  readonly #source: PieceReader;
  readonly #options: CallOptions;
  readonly #emit: (part: AnswerPart) => void;
  #pending: AnswerPart[] = [];
  /** Of the call that is written. */
  #index = -1;
  #open = false;

  constructor(source: PieceReader, options: CallOptions, emit: (part: AnswerPart) => void) {
    this.#source = source;
    this.#options = options;
    this.#emit = emit;
  }

  /** Calls so far. */
  get count(): number {
    return this.#index + 1;
  }

  /** Grows whenever something is settled that a break does not undo. */
  settled = 0;

  begin(name: string, id: string | null = null): void {
    this.#index++;
    this.#open = true;
    this.#write({ kind: 'tool-call', index: this.#index, id: id ?? this.#options.newId(), name });
  }

  arguments(text: string): void {
    if (text !== '') this.#write({ kind: 'arguments', index: this.#index, text });
  }

  /** The call is whole: what follows may break without undoing it. */
  end(): void {
    this.#open = false;
    for (const part of this.#pending.splice(0)) this.#emit(part);
    this.#settle();
  }

  /** The call breaks off. */
  undo(): void {
    if (this.#open && !this.#options.streamed) this.#index--;
    this.#open = false;
    this.#pending = [];
  }

  #write(part: AnswerPart): void {
    if (this.#index > 0 && !this.#options.parallel) return;
    if (!this.#options.streamed) {
      this.#pending.push(part);
      return;
    }
    this.#emit(part);
    this.#settle();
  }

  #settle(): void {
    this.settled++;
    this.#source.hold();
  }
}

/**
 * A text that comes in pieces, read from its front. Readings are generators that yield where what has come leaves open what is
 * there; so a format reads as if the whole text were here, and its result cannot depend on where pieces end.
 */
export type Reading<T = void> = Generator<undefined, T, undefined>;

/** The text is not what a format expects. */
export class Broken extends Error {}

/** In UTF-16 units. */
const longestName = 1024;

const blank = /^[ \t\r\n]*/;

export class PieceReader {
  #text = '';
  /** What was read and may have to be given back; null while nothing may. */
  #held: string[] | null = null;
  ended = false;

  add(piece: string): void {
    this.#text += piece;
  }

  /** What has come and was not read. */
  get ahead(): string {
    return this.#text;
  }

  /** From here on, what is read can be given back. `before`: what was read last, to be given back too. */
  hold(before = ''): void {
    this.#held = before === '' ? [] : [before];
  }

  release(): void {
    this.#held = null;
  }

  /** Gives back what was read since `hold`. */
  giveBack(): void {
    this.#text = (this.#held ?? []).join('') + this.#text;
    this.#held = null;
  }

  take(length: number): string {
    const taken = this.#text.slice(0, length);
    this.#text = this.#text.slice(length);
    this.#held?.push(taken);
    return taken;
  }

  /** The next character, which is not taken; empty at the end. */
  *peek(): Reading<string> {
    while (this.#text === '' && !this.ended) yield;
    return this.#text.charAt(0);
  }

  /** Takes blanks. */
  *blanks(): Reading {
    for (;;) {
      const [found = ''] = blank.exec(this.#text) ?? [];
      if (found !== '') this.take(found.length);
      if (this.#text !== '' || this.ended) return;
      yield;
    }
  }

  /** Takes the longest of some texts that is next; null where none is. */
  *option<Text extends string>(texts: readonly Text[]): Reading<Text | null> {
    while (!this.ended && texts.some((text) => text.length > this.#text.length && text.startsWith(this.#text))) yield;
    let found: Text | null = null;
    for (const text of texts) if (this.#text.startsWith(text) && text.length > (found?.length ?? -1)) found = text;
    if (found !== null) this.take(found.length);
    return found;
  }

  *expect(text: string): Reading {
    if ((yield* this.option([text])) === null) throw new Broken();
  }

  /** Whether one of some texts, or the end, is next behind blanks. Nothing is taken. */
  *follows(texts: readonly string[]): Reading<boolean> {
    for (;;) {
      const rest = this.#text.trimStart();
      if (texts.some((text) => rest.startsWith(text))) return true;
      const open = texts.some((text) => text.startsWith(rest));
      if (this.ended || !open) return open;
      yield;
    }
  }

  /** Takes the text up to one of some marks, and the mark; null where the text ends first. */
  *until<Mark extends string>(marks: readonly Mark[], text: (part: string) => void): Reading<Mark | null> {
    for (;;) {
      const [at, mark] = firstMark(this.#text, marks);
      const part = this.take(mark === null && !this.ended ? this.#text.length - openEnd(this.#text, marks) : at);
      if (part !== '') text(part);
      if (mark !== null) this.take(mark.length);
      if (mark !== null || this.ended) return mark;
      yield;
    }
  }

  /** The text up to one of some marks, which is taken; what ends first, or is longer than any name, is broken. */
  *upTo(...marks: readonly string[]): Reading<string> {
    let text = '';
    const mark = yield* this.until(marks, (part) => {
      text += part;
      if (text.length > longestName) throw new Broken();
    });
    if (mark === null) throw new Broken();
    return text;
  }
}

/** Where the first of the marks begins, the longest of those that begin there; the length of the text where there is none. */
function firstMark<Mark extends string>(text: string, marks: readonly Mark[]): readonly [number, Mark | null] {
  let at = text.length;
  let found: Mark | null = null;
  for (const mark of marks) {
    const index = text.indexOf(mark);
    if (index < 0 || index > at || (index === at && mark.length < (found?.length ?? 0))) continue;
    // A longer mark that may begin here too cannot be distinguished before all of it has come.
    at = index;
    found = mark;
  }
  return [at, found];
}

/** Length of the longest end of a text with which a mark begins. */
function openEnd(text: string, marks: readonly string[]): number {
  let longest = 0;
  for (const mark of marks) {
    for (let length = Math.min(mark.length - 1, text.length); length > longest; length--) {
      if (text.endsWith(mark.slice(0, length))) longest = length;
    }
  }
  return longest;
}

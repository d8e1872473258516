/**
 * Finds stop texts in a stream of text pieces. Text that could be the beginning of a stop text is held back. One
 * Knuth-Morris-Pratt automaton per stop text: constant work per character, whatever the pieces are.
 * The match that ends first wins; among those that end together, the longest.
 */
export interface StopResult {
  /** Text that is final. */
  readonly text: string;
  /** The stop text that was found; null while there is none. */
  readonly stop: string | null;
}

interface Automaton {
  readonly text: string;
  readonly fallback: Int32Array;
}

/** Stop texts made ready once per request, for all its sequences: the tables of long ones are large. */
export type StopPatterns = readonly Automaton[];

/** `stops` must hold no empty text. */
export function compileStops(stops: readonly string[]): StopPatterns {
  const longestFirst = [...new Set(stops)].sort((a, b) => b.length - a.length);
  return longestFirst.map((text) => ({ text, fallback: fallbacks(text) }));
}

export class StopTexts {
  readonly #stops: StopPatterns;
  readonly #matched: Int32Array;
  readonly #includeStop: boolean;
  #held = '';

  constructor(stops: StopPatterns, includeStop: boolean) {
    this.#stops = stops;
    this.#matched = new Int32Array(stops.length);
    this.#includeStop = includeStop;
  }

  /** After a stop text was found nothing more may be pushed. */
  push(piece: string): StopResult {
    if (this.#stops.length === 0) return { text: piece, stop: null };
    const text = this.#held + piece;
    for (let i = this.#held.length; i < text.length; i++) {
      const stop = this.#advance(text.charCodeAt(i));
      if (stop === null) continue;
      this.#held = '';
      return { text: text.slice(0, this.#includeStop ? i + 1 : i + 1 - stop.length), stop };
    }
    const keep = this.#matched.reduce((longest, length) => Math.max(longest, length), 0);
    this.#held = text.slice(text.length - keep);
    return { text: text.slice(0, text.length - keep), stop: null };
  }

  /** Text that was held back, when no more comes. */
  flush(): string {
    const text = this.#held;
    this.#held = '';
    this.#matched.fill(0);
    return text;
  }

  #advance(character: number): string | null {
    for (let s = 0; s < this.#stops.length; s++) {
      const { text, fallback } = this.#stops[s] as Automaton;
      let matched = this.#matched[s] as number;
      while (matched > 0 && text.charCodeAt(matched) !== character) matched = fallback[matched - 1] as number;
      if (text.charCodeAt(matched) === character) matched++;
      if (matched === text.length) return text;
      this.#matched[s] = matched;
    }
    return null;
  }
}

/** Entry i: length of the longest proper prefix of `text` that ends at character i. */
function fallbacks(text: string): Int32Array {
  const table = new Int32Array(text.length);
  for (let i = 1, length = 0; i < text.length; i++) {
    while (length > 0 && text.charCodeAt(i) !== text.charCodeAt(length)) length = table[length - 1] as number;
    if (text.charCodeAt(i) === text.charCodeAt(length)) length++;
    table[i] = length;
  }
  return table;
}

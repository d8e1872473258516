/**
 * Incremental detokenisation. Invariant: the pieces returned so far, and what `flush` returns, are the text of all tokens
 * decoded at once; no piece ends within a character. Bytes that may still become one are held back (at most three).
 */
import type { TokenTable } from './token-table.ts';

export interface DetokenizerOptions {
  readonly skipSpecialTokens: boolean;
  /** Special tokens that are not skipped all the same. */
  readonly keep?: ReadonlySet<number>;
  /** Tokens before the first one: text goes on where they end. Their own text is not returned. */
  readonly prefix?: readonly number[];
}

const lossyUtf8 = new TextDecoder('utf-8', { ignoreBOM: true });
const noBytes = new Uint8Array(0);
/** A character has at most four bytes, so what came before the last four tokens cannot matter. */
const prefixWindow = 4;

export class Detokenizer {
  readonly #table: TokenTable;
  readonly #skipped: (id: number) => boolean;
  #pending: Uint8Array = noBytes;
  /** Characters that may still be taken off the start. */
  #strip: number;
  #tokens = 0;

  constructor(table: TokenTable, options: DetokenizerOptions) {
    this.#table = table;
    const { skipSpecialTokens, keep } = options;
    this.#skipped = (id) => skipSpecialTokens && table.entry(id).special && keep?.has(id) !== true;
    this.#strip = table.leadingStrip?.count ?? 0;
    const prefix = options.prefix ?? [];
    const visible = (id: number): boolean => !this.#skipped(id);
    if (prefix.some(visible)) {
      this.#strip = 0;
      let from = prefix.length;
      for (let seen = 0; from > 0 && seen < prefixWindow; from--) if (visible(prefix[from - 1] as number)) seen++;
      for (const id of prefix.slice(from)) this.push(id);
    }
  }

  /** Text that became final with this token; often the token's own, sometimes none. */
  push(id: number): string {
    const entry = this.#table.entry(id);
    if (entry.special && this.#skipped(id)) return '';
    this.#tokens++;
    let text: string;
    if (entry.bytes === null) {
      text = this.#endCharacter() + (this.#tokens > 1 ? this.#table.separator : '') + (entry.text ?? '');
    } else if (entry.text !== null && this.#pending.length === 0) {
      text = entry.text;
    } else {
      text = this.#joinBytes(entry.bytes);
    }
    return this.#strip > 0 ? this.#stripStart(text) : text;
  }

  /** Whether the last token ended within a character. */
  get midCharacter(): boolean {
    return this.#pending.length > 0;
  }

  /** The text of bytes that never became a character. Call once, at the end. */
  flush(): string {
    return this.#endCharacter();
  }

  #endCharacter(): string {
    if (this.#pending.length === 0) return '';
    const text = lossyUtf8.decode(this.#pending);
    this.#pending = noBytes;
    return text;
  }

  #joinBytes(bytes: Uint8Array): string {
    const joined = new Uint8Array(this.#pending.length + bytes.length);
    joined.set(this.#pending);
    joined.set(bytes, this.#pending.length);
    const held = unfinishedBytes(joined);
    this.#pending = joined.slice(joined.length - held);
    return lossyUtf8.decode(joined.subarray(0, joined.length - held));
  }

  #stripStart(text: string): string {
    const strip = this.#table.leadingStrip;
    if (strip === null || text === '') return text;
    let cut = 0;
    while (cut < this.#strip && text[cut] === strip.character) cut++;
    this.#strip = strip.firstTokenOnly || cut < text.length ? 0 : this.#strip - cut;
    return text.slice(cut);
  }
}

/** Decodes all tokens at once. */
export function detokenize(table: TokenTable, ids: readonly number[], skipSpecialTokens: boolean): string {
  const detokenizer = new Detokenizer(table, { skipSpecialTokens });
  let text = '';
  for (const id of ids) text += detokenizer.push(id);
  return text + detokenizer.flush();
}

/** How many bytes at the end are the beginning of a UTF-8 character that more bytes could complete: 0 to 3. */
export function unfinishedBytes(bytes: Uint8Array): number {
  for (let held = 1; held <= Math.min(3, bytes.length); held++) {
    const lead = bytes[bytes.length - held] as number;
    if ((lead & 0xc0) === 0x80) continue;
    const length =
      lead >= 0xc2 && lead <= 0xdf ? 2 : lead >= 0xe0 && lead <= 0xef ? 3 : lead >= 0xf0 && lead <= 0xf4 ? 4 : 0;
    if (held >= length) return 0;
    return held === 1 || secondByteFits(lead, bytes[bytes.length - held + 1] as number) ? held : 0;
  }
  return 0;
}

/** Excludes overlong forms, surrogates and code points above U+10FFFF (Unicode, table 3-7). */
function secondByteFits(lead: number, second: number): boolean {
  if (lead === 0xe0) return second >= 0xa0;
  if (lead === 0xed) return second <= 0x9f;
  if (lead === 0xf0) return second >= 0x90;
  if (lead === 0xf4) return second <= 0x8f;
  return true;
}

/**
 * JSON whose numbers keep their digits and whose objects keep the order of their keys: JavaScript's own values round 64-bit ids,
 * make 1.0 an 1, and put keys that look like numbers first.
 */
import { NumberText } from '../../number-text.ts';

/** Objects are maps where they were read here; those that code makes may be plain. */
export type Json =
  | null
  | boolean
  | string
  | number
  | NumberText
  | readonly Json[]
  | ReadonlyMap<string, Json>
  | { readonly [key: string]: Json };

/** Texts without this lose nothing as JavaScript's own values. */
const mayBeLost = /\d{16}|\d[.eE]|"\d+"\s*:|-0/;

/** Whether `JSON.parse` may lose something of a JSON text. */
export function losesDigits(text: string): boolean {
  return mayBeLost.test(text);
}

/** Reads a JSON text. Throws a SyntaxError. */
export function readExactJson(text: string): Json {
  const reader = new ExactReader(text);
  return reader.document();
}

const blanks = /[ \t\n\r]*/y;
const scalar = /true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;

class ExactReader {
  readonly #text: string;
  #at: number;

  constructor(text: string) {
    this.#text = text;
    // A byte order mark is let pass by parsers of bodies.
    this.#at = text.startsWith('\uFEFF') ? 1 : 0;
  }

  document(): Json {
    const value = this.#value();
    this.#blanks();
    if (this.#at < this.#text.length) this.#fail();
    return value;
  }

  #value(): Json {
    this.#blanks();
    const first = this.#text[this.#at];
    if (first === '{') return this.#object();
    if (first === '[') return this.#array();
    if (first === '"') return this.#string();
    scalar.lastIndex = this.#at;
    const word = scalar.exec(this.#text)?.[0] ?? this.#fail();
    this.#at += word.length;
    if (word === 'null') return null;
    if (word === 'true' || word === 'false') return word === 'true';
    const number = Number(word);
    return String(number) === word && !word.includes('e') ? number : new NumberText(word);
  }

  #array(): Json {
    const items: Json[] = [];
    this.#at++;
    if (this.#option(']')) return items;
    do items.push(this.#value());
    while (this.#option(','));
    this.#expect(']');
    return items;
  }

  #object(): Json {
    const members = new Map<string, Json>();
    this.#at++;
    if (this.#option('}')) return members;
    do {
      this.#blanks();
      if (this.#text[this.#at] !== '"') this.#fail();
      const key = this.#string();
      this.#expect(':');
      members.set(key, this.#value());
    } while (this.#option(','));
    this.#expect('}');
    return members;
  }

  #string(): string {
    const start = this.#at;
    let quote = start;
    let slashes: number;
    do {
      quote = this.#text.indexOf('"', quote + 1);
      if (quote < 0) this.#fail();
      slashes = 0;
      while (this.#text[quote - 1 - slashes] === '\\') slashes++;
    } while (slashes % 2 === 1);
    this.#at = quote + 1;
    return JSON.parse(this.#text.slice(start, this.#at)) as string;
  }

  #option(mark: string): boolean {
    this.#blanks();
    if (this.#text[this.#at] !== mark) return false;
    this.#at++;
    return true;
  }

  #expect(mark: string): void {
    if (!this.#option(mark)) this.#fail();
  }

  #blanks(): void {
    blanks.lastIndex = this.#at;
    blanks.test(this.#text);
    this.#at = blanks.lastIndex;
  }

  #fail(): never {
    throw new SyntaxError(`not JSON at character ${this.#at}`);
  }
}

/** The JSON of a value, as Python writes it: with a blank behind commas and colons. What is undefined is left out. */
export function writeJson(value: unknown): string {
  if (value === null || value === undefined) return 'null';
  if (value instanceof NumberText) return value.text;
  if (Array.isArray(value)) return `[${value.map(writeJson).join(', ')}]`;
  if (typeof value !== 'object') return JSON.stringify(value);
  const members = membersOf(value as Json).filter(([, item]) => item !== undefined);
  return `{${members.map(([key, item]) => `${JSON.stringify(key)}: ${writeJson(item)}`).join(', ')}}`;
}

/** The members of an object; none for what is none. */
export function membersOf(value: Json | undefined): readonly (readonly [string, Json])[] {
  if (value instanceof Map) return [...(value as ReadonlyMap<string, Json>)];
  return isJsonObject(value) ? Object.entries(value) : [];
}

export function memberOf(value: Json | undefined, key: string): Json | undefined {
  if (value instanceof Map) return (value as ReadonlyMap<string, Json>).get(key);
  return isJsonObject(value) && Object.hasOwn(value, key) ? (value as Record<string, Json>)[key] : undefined;
}

/** What a value has at a path of keys and indices. */
export function valueAt(value: Json | undefined, ...path: readonly (string | number)[]): Json | undefined {
  return path.reduce<Json | undefined>(
    (at, key) => (typeof key === 'string' ? memberOf(at, key) : Array.isArray(at) ? (at[key] as Json) : undefined),
    value,
  );
}

export function isJsonObject(value: unknown): value is ReadonlyMap<string, Json> | { readonly [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof NumberText);
}

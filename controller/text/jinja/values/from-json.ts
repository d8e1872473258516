/** JSON as Python reads it: whole numbers keep their digits, 1.0 is a float, and keys keep their order. */

import { Dict } from './containers.ts';
import { str } from './repr.ts';
import { valueError } from './template-error.ts';
import type { Value } from './value.ts';

/** What JavaScript's own values are in Python: a whole number is an int, an object a dictionary. */
export function fromJson(value: unknown): Value {
  if (value === null || value === undefined) return null;
  if (typeof value === 'number') return Number.isInteger(value) ? BigInt(value) : value;
  if (typeof value === 'string' || typeof value === 'boolean' || typeof value === 'bigint') return value;
  if (Array.isArray(value)) return value.map(fromJson);
  return new Dict(Object.entries(value).map(([key, item]) => [key, fromJson(item)]));
}

/** The members of a JSON object. Throws a JinjaError for other texts. */
export function parseJson(text: string): readonly (readonly [string, Value])[] {
  const reader = new JsonReader(text);
  const value = reader.document();
  if (!(value instanceof Dict)) throw valueError('expected a JSON object');
  return [...value.entries()].map(([key, item]) => [str(key), item]);
}

const token = /[ \t\n\r]*(?:([{}[\]:,])|("(?:[^"\\]|\\.)*")|(-?\d+)(\.\d+)?([eE][+-]?\d+)?|(true|false|null))/y;

class JsonReader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  document(): Value {
    const value = this.#value(this.#next());
    if (this.#text.slice(this.#at).trim() !== '') throw valueError('something follows the JSON document');
    return value;
  }

  #next(): RegExpExecArray {
    token.lastIndex = this.#at;
    const found = token.exec(this.#text);
    if (found === null) throw valueError(`not JSON at character ${this.#at}`);
    this.#at = token.lastIndex;
    return found;
  }

  #value(found: RegExpExecArray): Value {
    const [, mark, string, whole, fraction, exponent, word] = found;
    if (string !== undefined) return JSON.parse(string) as string;
    if (word !== undefined) return word === 'null' ? null : word === 'true';
    if (whole === undefined) return mark === '{' ? this.#object() : mark === '[' ? this.#array() : this.#fail();
    if (fraction === undefined && exponent === undefined) return BigInt(whole);
    return Number(`${whole}${fraction ?? ''}${exponent ?? ''}`);
  }

  #array(): Value {
    const items: Value[] = [];
    for (let found = this.#next(); found[1] !== ']'; found = this.#next()) {
      items.push(this.#value(items.length === 0 ? found : this.#after(found)));
    }
    return items;
  }

  #object(): Dict {
    const dict = new Dict();
    for (let found = this.#next(), first = true; found[1] !== '}'; found = this.#next(), first = false) {
      const key = (first ? found : this.#after(found))[2];
      if (key === undefined || this.#next()[1] !== ':') this.#fail();
      dict.set(JSON.parse(key ?? '""') as string, this.#value(this.#next()));
    }
    return dict;
  }

  /** What follows a comma. */
  #after(found: RegExpExecArray): RegExpExecArray {
    return found[1] === ',' ? this.#next() : this.#fail();
  }

  #fail(): never {
    throw valueError(`not JSON at character ${this.#at}`);
  }
}

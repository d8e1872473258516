/**
 * JSON request bodies. Numbers become doubles, as JSON.parse makes them; the text is kept while a request is checked, so that
 * integers of 64 bits can be read from it and errors can show what was sent. Only these look into it.
 */
import { FieldError, invalidField, type ServiceError } from '../../errors.ts';
import { NumberText } from '../../number-text.ts';
import { losesDigits, readExactJson } from '../../text/json/exact-json.ts';

export class JsonBody {
  readonly value: unknown;
  #text: string | null;

  /** `value` is what `text` parses to. */
  constructor(value: unknown, text: string) {
    this.value = value;
    this.#text = text;
  }

  /** Lets go of the text: the request has been checked. */
  forget(): void {
    this.#text = null;
  }

  /** The value with all digits of its numbers, and with its keys in order. */
  exact(): unknown {
    return this.#text !== null && losesDigits(this.#text) ? readExactJson(this.#text) : this.value;
  }

  /** The number at a path such as "prompt[2][0]" as it was sent; null where there is none. */
  sentNumber(path: string): string | null {
    if (this.#text === null) return null;
    const segments = path.split(/[.[\]]+/).filter((segment) => segment !== '');
    const start = find(this.#text, segments);
    return start === null ? null : (/^-?\d[\d.eE+-]*/.exec(this.#text.slice(start, start + longest))?.[0] ?? null);
  }
}

/** A body with all digits of its numbers, where it came as a text. */
export function exactBody(body: unknown): unknown {
  return body instanceof JsonBody ? body.exact() : body;
}

/** An error as it is, but that a number which it shows is shown as it was sent. */
export function asSent(error: ServiceError, body: unknown): ServiceError {
  if (!(error instanceof FieldError && body instanceof JsonBody)) return error;
  const { field, value, expected } = error;
  if (field === null || typeof value !== 'number') return error;
  const text = body.sentNumber(field);
  return text === null ? error : invalidField(field, new NumberText(text), expected);
}

/** Numbers are read up to this length. */
const longest = 400;

/** The integer that a JSON number stands for, exactly; null where it is none, or has more than 40 digits. */
export function exactInteger(text: string): bigint | null {
  const [, sign = '', whole = '', fraction = '', exponent = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(text) ?? [];
  const digits = (whole + fraction).replace(/^0+/, '');
  if (digits === '') return whole === '' ? null : 0n;
  const shift = Number(exponent) - fraction.length;
  if (digits.length + shift > 40) return null;
  const integer = shift >= 0 ? digits + '0'.repeat(shift) : digits.slice(0, shift);
  if (shift < 0 && /[^0]/.test(digits.slice(shift))) return null;
  return BigInt(`${sign}${integer || '0'}`);
}

/** Integers of 64 bits, signed or not. */
const least64 = -(2n ** 63n);
const most64 = 2n ** 64n - 1n;

/** What JSON Schema says of them. */
export const integer64Range = { type: ['integer', 'null'], minimum: Number(least64), maximum: Number(most64) } as const;

/** An integer from -2^63 to 2^64 - 1, to the last digit; null where there is none. `value` is what `body` has at `path`. */
export function integer64(body: unknown, path: string, value: unknown): bigint | null {
  if (value === null || value === undefined) return null;
  if (Number.isSafeInteger(value)) return BigInt(value as number);
  const sent = body instanceof JsonBody ? body.sentNumber(path) : null;
  const text = typeof value === 'number' ? (sent ?? String(value)) : null;
  const integer = text === null ? null : exactInteger(text);
  if (integer !== null && integer >= least64 && integer <= most64) return integer;
  throw invalidField(path, text === null ? value : new NumberText(text), `an integer from ${least64} to ${most64}`);
}

/** Where the value at a path begins in a valid JSON text; of members with one name the last counts, as for JSON.parse. */
function find(text: string, path: readonly string[]): number | null {
  // A byte order mark is let pass by the parser.
  let at = skipSpace(text, text.startsWith('\uFEFF') ? 1 : 0);
  for (const segment of path) {
    const object = text[at] === '{';
    if (!object && text[at] !== '[') return null;
    let found: number | null = null;
    let item = skipSpace(text, at + 1);
    for (let index = 0; text[item] !== '}' && text[item] !== ']'; index++) {
      let name = String(index);
      if (object) {
        const end = stringEnd(text, item);
        name = JSON.parse(text.slice(item, end)) as string;
        item = skipSpace(text, skipSpace(text, end) + 1);
      }
      if (name === segment) found = item;
      item = skipSpace(text, valueEnd(text, item));
      if (text[item] === ',') item = skipSpace(text, item + 1);
    }
    if (found === null) return null;
    at = found;
  }
  return at;
}

function skipSpace(text: string, from: number): number {
  let at = from;
  while (text[at] === ' ' || text[at] === '\n' || text[at] === '\r' || text[at] === '\t') at++;
  return at;
}

function stringEnd(text: string, start: number): number {
  let quote = start;
  let slashes: number;
  do {
    quote = text.indexOf('"', quote + 1);
    slashes = 0;
    while (text[quote - 1 - slashes] === '\\') slashes++;
  } while (slashes % 2 === 1);
  return quote + 1;
}

function valueEnd(text: string, start: number): number {
  let depth = 0;
  let at = start;
  do {
    const character = text[at] ?? '';
    if (character === '"') at = stringEnd(text, at);
    else if (depth === 0 && !'{['.includes(character)) return scalarEnd(text, at);
    else {
      if ('{['.includes(character)) depth++;
      if ('}]'.includes(character)) depth--;
      at++;
    }
  } while (depth > 0);
  return at;
}

function scalarEnd(text: string, start: number): number {
  const scalar = /[^\s,\]}]*/y;
  scalar.lastIndex = start;
  scalar.test(text);
  return scalar.lastIndex;
}

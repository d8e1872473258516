/** Reads a Python literal of a text in pieces, and hands it on as JSON. Numbers keep their digits. */
import type { Sink } from './json-reader.ts';
import { Broken, type PieceReader, type Reading } from './piece-reader.ts';

const maxDepth = 128;
const word = /^[-+.\w]*/;
const number = /^[-+]?(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d+)?$/;
const words: Readonly<Record<string, string>> = {
  ...{ True: 'true', False: 'false', None: 'null' },
  ...{ true: 'true', false: 'false', null: 'null' },
};
const escapes: Readonly<Record<string, string>> = {
  ...{ n: '\n', t: '\t', r: '\r', b: '\b', f: '\f', v: '\v', a: '\u0007', '0': '\0' },
  ...{ '\\': '\\', "'": "'", '"': '"', '\n': '' },
};
const hexEscapes: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 };

export function* readPython(source: PieceReader, sink: Sink, depth = 0): Reading {
  if (depth > maxDepth) throw new Broken();
  const first = yield* source.peek();
  if (first === '"' || first === "'") yield* readString(source, sink);
  else if (first === '[' || first === '(') yield* readItems(source, sink, first === '[' ? ']' : ')', depth);
  else if (first === '{') yield* readEntries(source, sink, depth);
  else sink(yield* readWord(source));
}

/** The JSON of a whole text that is one literal; null where it is none. */
export function pythonToJson(source: PieceReader): string | null {
  let json = '';
  const reading = readPython(source, (part) => {
    json += part;
  });
  try {
    source.ended = true;
    reading.next();
    return source.ahead.trim() === '' ? json : null;
  } catch (error) {
    if (error instanceof Broken) return null;
    throw error;
  }
}

function* readWord(source: PieceReader): Reading<string> {
  for (;;) {
    const [text = ''] = word.exec(source.ahead) ?? [];
    if (text.length === source.ahead.length && !source.ended && text.length < 1024) {
      yield;
      continue;
    }
    const json = Object.hasOwn(words, text) ? words[text] : numberToJson(text);
    if (json === undefined || json === null) throw new Broken();
    source.take(text.length);
    return json;
  }
}

/** A number as JSON writes it; null for what is none. */
export function numberToJson(text: string): string | null {
  if (!number.test(text)) return null;
  const [, sign = '', whole = '', fraction, exponent = ''] =
    /^([-+]?)(\d*)(?:\.(\d*))?((?:e[+-]?\d+)?)$/i.exec(text.replaceAll('_', '')) ?? [];
  const digits = whole.replace(/^0+(?=\d)/, '') || '0';
  return `${sign === '-' ? '-' : ''}${digits}${fraction === undefined ? '' : `.${fraction || '0'}`}${exponent}`;
}

function* readItems(source: PieceReader, sink: Sink, close: string, depth: number): Reading {
  source.take(1);
  sink('[');
  let first = true;
  for (;;) {
    yield* source.blanks();
    if ((yield* source.option([close])) !== null) break;
    if (!first) sink(', ');
    first = false;
    yield* readPython(source, sink, depth + 1);
    yield* source.blanks();
    if ((yield* source.option([','])) === null && (yield* source.peek()) !== close) throw new Broken();
  }
  sink(']');
}

function* readEntries(source: PieceReader, sink: Sink, depth: number): Reading {
  source.take(1);
  sink('{');
  let first = true;
  for (;;) {
    yield* source.blanks();
    if ((yield* source.option(['}'])) !== null) break;
    if (!first) sink(', ');
    first = false;
    yield* readKey(source, sink);
    yield* source.blanks();
    yield* source.expect(':');
    sink(': ');
    yield* source.blanks();
    yield* readPython(source, sink, depth + 1);
    yield* source.blanks();
    if ((yield* source.option([','])) === null && (yield* source.peek()) !== '}') throw new Broken();
  }
  sink('}');
}

/** Keys of JSON are texts. */
function* readKey(source: PieceReader, sink: Sink): Reading {
  const next = yield* source.peek();
  if (next === '"' || next === "'") yield* readString(source, sink);
  else sink(JSON.stringify(yield* readWord(source)));
}

function* readString(source: PieceReader, sink: Sink): Reading {
  const quote = (yield* source.option(['"""', "'''", '""', "''", '"', "'"])) ?? '';
  if (quote.length === 2) return sink('""');
  sink('"');
  for (;;) {
    const mark = yield* source.until([quote, '\\'], (part) => sink(inside(part)));
    if (mark === null) throw new Broken();
    if (mark === quote) break;
    sink(inside(yield* readEscape(source)));
  }
  sink('"');
}

/** The character behind a backslash; one that Python does not know stays, with its backslash. */
function* readEscape(source: PieceReader): Reading<string> {
  const letter = yield* source.peek();
  if (letter === '') throw new Broken();
  source.take(1);
  const digits = hexEscapes[letter];
  if (digits === undefined) return escapes[letter] ?? `\\${letter}`;
  while (source.ahead.length < digits && !source.ended) yield;
  const hex = source.take(digits);
  const point = Number.parseInt(hex, 16);
  if (!/^[0-9a-fA-F]+$/.test(hex) || hex.length < digits || point > 0x10ffff) throw new Broken();
  return String.fromCodePoint(point);
}

/** A text as it stands within a JSON text. Half a surrogate pair stays as it is: its other half may follow. */
export function inside(text: string): string {
  return text.replace(/["\\\p{Cc}]/gu, (character) => JSON.stringify(character).slice(1, -1));
}

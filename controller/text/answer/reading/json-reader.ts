/** Reads a JSON value of a text in pieces, and hands it on as it is written: digits, spaces and the order of keys stay. */
import { Broken, type PieceReader, type Reading } from './piece-reader.ts';

/** Deeper values are not taken for arguments. */
const maxDepth = 128;
const scalar = /^(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)$/;
const scalarCharacters = /^[-+.\w]*/;
const ordinary = /^[^"\\\p{Cc}]+/u;
const escape = /^\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/;
const openEscape = /^\\(?:u[0-9a-fA-F]{0,3})?$/;

export type Sink = (text: string) => void;

/** Line ends and other control characters within texts, which models write as they are, are escaped. */
export function* readJson(source: PieceReader, sink: Sink, depth = 0): Reading {
  if (depth > maxDepth) throw new Broken();
  const first = yield* source.peek();
  if (first === '"') yield* readJsonString(source, sink);
  else if (first === '{') yield* readMembers(source, sink, depth);
  else if (first === '[') yield* readItems(source, sink, depth);
  else sink(yield* readScalar(source));
}

/** The whole text of a JSON value. */
export function* readJsonText(source: PieceReader): Reading<string> {
  let text = '';
  yield* readJson(source, (part) => {
    text += part;
  });
  return text;
}

function* readScalar(source: PieceReader): Reading<string> {
  for (;;) {
    const [word = ''] = scalarCharacters.exec(source.ahead) ?? [];
    if (word.length < source.ahead.length || source.ended) {
      if (!scalar.test(word)) throw new Broken();
      return source.take(word.length);
    }
    if (word.length > 1024) throw new Broken();
    yield;
  }
}

function* readItems(source: PieceReader, sink: Sink, depth: number): Reading {
  yield* mark(source, sink, '[');
  yield* blanks(source, sink);
  if ((yield* source.peek()) !== ']') {
    for (;;) {
      yield* readJson(source, sink, depth + 1);
      yield* blanks(source, sink);
      if ((yield* source.peek()) !== ',') break;
      yield* mark(source, sink, ',');
      yield* blanks(source, sink);
    }
  }
  yield* mark(source, sink, ']');
}

function* readMembers(source: PieceReader, sink: Sink, depth: number): Reading {
  yield* mark(source, sink, '{');
  yield* blanks(source, sink);
  if ((yield* source.peek()) !== '}') {
    for (;;) {
      if ((yield* source.peek()) !== '"') throw new Broken();
      yield* readJsonString(source, sink);
      yield* blanks(source, sink);
      yield* mark(source, sink, ':');
      yield* blanks(source, sink);
      yield* readJson(source, sink, depth + 1);
      yield* blanks(source, sink);
      if ((yield* source.peek()) !== ',') break;
      yield* mark(source, sink, ',');
      yield* blanks(source, sink);
    }
  }
  yield* mark(source, sink, '}');
}

function* readJsonString(source: PieceReader, sink: Sink): Reading {
  yield* mark(source, sink, '"');
  for (;;) {
    const next = yield* source.peek();
    if (next === '') throw new Broken();
    if (next === '"') break;
    const run = ordinary.exec(source.ahead)?.[0] ?? escape.exec(source.ahead)?.[0];
    if (run !== undefined) sink(source.take(run.length));
    else if (next !== '\\') sink(JSON.stringify(source.take(1)).slice(1, -1));
    else if (openEscape.test(source.ahead) && !source.ended) yield;
    else throw new Broken();
  }
  yield* mark(source, sink, '"');
}

function* mark(source: PieceReader, sink: Sink, text: string): Reading {
  yield* source.expect(text);
  sink(text);
}

function* blanks(source: PieceReader, sink: Sink): Reading {
  for (let next = yield* source.peek(); next !== '' && ' \t\r\n'.includes(next); next = yield* source.peek()) {
    sink(source.take(1));
  }
}

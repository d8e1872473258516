/** Gemma 4: `call:NAME{key:value,…}`, where texts stand between tokens of their own and are written as they are. */
import { Broken, type PieceReader, type Reading } from '../../reading/piece-reader.ts';
import { inside, numberToJson } from '../../reading/python-reader.ts';
import type { CallWriter } from '../call-writer.ts';
import type { ToolFormat } from '../tool-format.ts';

const [callBegin, callEnd, quote] = ['<|tool_call>', '<tool_call|>', '<|"|>'];
const maxDepth = 128;
/** Longest value without quotes. */
const longestWord = 4096;

export const gemma4: ToolFormat = {
  begins: [callBegin],
  inner: [callEnd, quote],
  framing: ['<|tool_response>'],
  grammar: null,
  *read(source, calls) {
    yield* source.blanks();
    yield* source.expect('call:');
    const name = (yield* source.upTo('{')).trim();
    if (!/^[\w.:-]+$/.test(name)) throw new Broken();
    calls.begin(name);
    yield* readMembers(source, calls, 0);
    calls.end();
    yield* source.blanks();
    yield* source.option([callEnd]);
  },
};

/** Behind the brace. */
function* readMembers(source: PieceReader, calls: CallWriter, depth: number): Reading {
  calls.arguments('{');
  yield* readList(source, calls, '}', function* () {
    const key = (yield* source.option([quote])) === null ? (yield* source.upTo(':')).trim() : yield* quotedKey(source);
    if (key === '' || /[{}[\],]/.test(key)) throw new Broken();
    calls.arguments(`${JSON.stringify(key)}: `);
    yield* readValue(source, calls, depth + 1);
  });
}

function* quotedKey(source: PieceReader): Reading<string> {
  const key = yield* source.upTo(quote);
  yield* source.blanks();
  yield* source.expect(':');
  return key;
}

/** What is between a bracket and its end, which is taken. */
function* readList(source: PieceReader, calls: CallWriter, end: string, item: () => Reading): Reading {
  for (let first = true; ; first = false) {
    yield* source.blanks();
    if ((yield* source.option([end])) !== null) break;
    if (!first) calls.arguments(', ');
    yield* item();
    yield* source.blanks();
    if ((yield* source.option([','])) === null && (yield* source.peek()) !== end) throw new Broken();
  }
  calls.arguments(end);
}

function* readValue(source: PieceReader, calls: CallWriter, depth: number): Reading {
  if (depth > maxDepth) throw new Broken();
  yield* source.blanks();
  const begin = yield* source.option([quote, '{', '[']);
  if (begin === '{') {
    yield* readMembers(source, calls, depth);
  } else if (begin === '[') {
    calls.arguments('[');
    yield* readList(source, calls, ']', () => readValue(source, calls, depth + 1));
  } else if (begin === quote) {
    calls.arguments('"');
    if ((yield* source.until([quote], (text) => calls.arguments(inside(text)))) === null) throw new Broken();
    calls.arguments('"');
  } else {
    calls.arguments(wordToJson((yield* readWord(source)).trim()));
  }
}

function wordToJson(word: string): string {
  return word === 'true' || word === 'false' || word === 'null' ? word : (numberToJson(word) ?? JSON.stringify(word));
}

/** A value without quotes, up to what ends it. */
function* readWord(source: PieceReader): Reading<string> {
  let word = '';
  for (let next = yield* source.peek(); !/^[,}\]]?$/.test(next); next = yield* source.peek()) {
    word += source.take(1);
    if (word.length > longestWord) throw new Broken();
  }
  if ((yield* source.peek()) === '') throw new Broken();
  return word;
}

/** Mistral: behind [TOOL_CALLS] a JSON list, or, since v11, a name, [ARGS] and JSON, with the token before each call. */
import { readJson } from '../../reading/json-reader.ts';
import { Broken, type PieceReader, type Reading } from '../../reading/piece-reader.ts';
import type { CallWriter } from '../call-writer.ts';
import { readJsonCalls } from '../json-call.ts';
import type { ToolFormat } from '../tool-format.ts';

const begin = '[TOOL_CALLS]';

export const mistral: ToolFormat = {
  begins: [begin],
  inner: ['[ARGS]', '[CALL_ID]'],
  shortIds: true,
  grammar: {
    ...{ prefix: '', between: '', suffix: '' },
    beginCall: (name) => `${begin}${name}[ARGS]`,
    ...{ arguments: 'json', endCall: '' },
  },
  *read(source, calls) {
    yield* source.blanks();
    const next = yield* source.peek();
    if (next === '[' || next === '{') yield* readJsonCalls(source, calls);
    else yield* readNamed(source, calls);
  },
};

/** NAME[CALL_ID]ID[ARGS]{…}; both marks may be missing. */
function* readNamed(source: PieceReader, calls: CallWriter): Reading {
  let name = '';
  let id = '';
  let mark: string | null = null;
  while (mark !== '[ARGS]') {
    const inId = mark === '[CALL_ID]';
    const stop = yield* readWord(source, (text) => {
      if (inId) id += text;
      else name += text;
    });
    mark = stop === '{' ? '[ARGS]' : stop;
  }
  if (name.trim() === '') throw new Broken();
  yield* source.blanks();
  if ((yield* source.peek()) !== '{') throw new Broken();
  calls.begin(name.trim(), /^[a-zA-Z0-9]{9}$/.test(id) ? id : null);
  yield* readJson(source, (text) => calls.arguments(text));
  calls.end();
}

/** Characters of a name or id up to a mark, or to a brace that is not taken. */
function* readWord(source: PieceReader, add: (text: string) => void): Reading<'[CALL_ID]' | '[ARGS]' | '{'> {
  for (let length = 0; length < 256; length++) {
    const mark = yield* source.option(['[CALL_ID]', '[ARGS]']);
    if (mark !== null) return mark;
    const next = yield* source.peek();
    if (next === '{') return next;
    if (next === '' || next === '[' || next === '\n') throw new Broken();
    add(source.take(1));
  }
  throw new Broken();
}

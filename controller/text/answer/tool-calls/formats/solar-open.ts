/** Solar Open: an id, a name and JSON, each behind a mark of its own. */
import { readJson } from '../../reading/json-reader.ts';
import { Broken, type PieceReader, type Reading } from '../../reading/piece-reader.ts';
import type { CallWriter } from '../call-writer.ts';
import type { ToolFormat } from '../tool-format.ts';

const section = '<|tool_calls|>';
const [callBegin, nameBegin, argumentBegin, callEnd] = [
  '<|tool_call:begin|>',
  '<|tool_call:name|>',
  '<|tool_call:args|>',
  '<|tool_call:end|>',
];
/** Ids as the template writes them; others, and those that came before, are replaced by new ones. */
const validId = /^[a-z0-9]{10}$/;

export const solarOpen: ToolFormat = {
  begins: [section, callBegin],
  inner: [nameBegin, argumentBegin, callEnd],
  // What separates a text from the calls behind it.
  framing: ['<|end|>', '<|begin|>assistant', '<|calls|>'],
  grammar: {
    ...{ prefix: section, between: '', suffix: '' },
    beginCall: (name) => `${callBegin}${'0'.repeat(10)}${nameBegin}${name}${argumentBegin}`,
    ...{ arguments: 'json', endCall: callEnd },
  },
  *read(source, calls, mark) {
    const ids = new Set<string>();
    if (mark === callBegin) yield* readCall(source, calls, ids);
    for (;;) {
      yield* source.blanks();
      if ((yield* source.option([callBegin])) === null) return;
      yield* readCall(source, calls, ids);
    }
  },
};

function* readCall(source: PieceReader, calls: CallWriter, ids: Set<string>): Reading {
  const id = (yield* source.upTo(nameBegin)).trim();
  const name = (yield* source.upTo(argumentBegin)).trim();
  yield* source.blanks();
  if (!/^[\w.:-]+$/.test(name) || (yield* source.peek()) !== '{') throw new Broken();
  calls.begin(name, validId.test(id) && !ids.has(id) ? id : null);
  ids.add(id);
  yield* readJson(source, (text) => calls.arguments(text));
  calls.end();
  yield* source.blanks();
  yield* source.option([callEnd]);
}

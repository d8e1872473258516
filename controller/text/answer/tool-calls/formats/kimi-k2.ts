/** Kimi K2: an id such as `functions.NAME:0`, which templates need as it is, and JSON. */
import { readJson } from '../../reading/json-reader.ts';
import { Broken, type PieceReader, type Reading } from '../../reading/piece-reader.ts';
import type { CallWriter } from '../call-writer.ts';
import type { ToolFormat } from '../tool-format.ts';

const sections = ['<|tool_calls_section_begin|>', '<|tool_call_section_begin|>'] as const;
const sectionEnds = ['<|tool_calls_section_end|>', '<|tool_call_section_end|>'] as const;
const [callBegin, argumentBegin, callEnd] = [
  '<|tool_call_begin|>',
  '<|tool_call_argument_begin|>',
  '<|tool_call_end|>',
];

export const kimiK2: ToolFormat = {
  begins: [...sections, callBegin],
  inner: [argumentBegin, callEnd],
  framing: sectionEnds,
  grammar: {
    ...{ prefix: sections[0], between: '', suffix: sectionEnds[0] },
    beginCall: (name) => `${callBegin}functions.${name}:0${argumentBegin}`,
    ...{ arguments: 'json', endCall: callEnd },
  },
  *read(source, calls, mark) {
    if (mark === callBegin) yield* readCall(source, calls);
    for (;;) {
      yield* source.blanks();
      if ((yield* source.option([callBegin, ...sectionEnds])) !== callBegin) return;
      yield* readCall(source, calls);
    }
  },
};

function* readCall(source: PieceReader, calls: CallWriter): Reading {
  const id = (yield* source.upTo(argumentBegin)).trim();
  const name = id.replace(/^functions\./, '').replace(/:\d+$/, '');
  yield* source.blanks();
  if (name === '' || /[<\n]/.test(name) || (yield* source.peek()) !== '{') throw new Broken();
  calls.begin(name, id);
  yield* readJson(source, (text) => calls.arguments(text));
  calls.end();
  yield* source.blanks();
  yield* source.option([callEnd]);
}

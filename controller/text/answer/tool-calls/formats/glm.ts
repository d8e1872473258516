/** GLM 4.5 to 4.7 and Hunyuan 3: a name, then keys and values in tags. */
import { Broken, type PieceReader, type Reading } from '../../reading/piece-reader.ts';
import type { CallWriter } from '../call-writer.ts';
import { readValue } from '../markup-calls.ts';
import type { CallGrammar, ToolFormat } from '../tool-format.ts';
import type { ToolSchemas } from '../tool-schemas.ts';
import { WrittenArguments } from '../written-arguments.ts';

const [callBegin, callEnd] = ['<tool_call>', '</tool_call>'];
const [keyBegin, keyEnd] = ['<arg_key>', '</arg_key>'];
const [valueBegin, valueEnd] = ['<arg_value>', '</arg_value>'];

function grammar(prefix: string, suffix: string, behindName: string): CallGrammar {
  return {
    ...{ prefix, between: '\n', suffix },
    beginCall: (name) => `${callBegin}${name}${behindName}`,
    ...{ arguments: 'glm-xml', endCall: callEnd },
  };
}

export const glm45: ToolFormat = {
  begins: [callBegin],
  inner: [callEnd, keyBegin, keyEnd, valueBegin, valueEnd],
  grammar: grammar('', '', '\n'),
  *read(source, calls, _mark, tools) {
    yield* readCall(source, calls, tools);
  },
};

export const hunyuanV3: ToolFormat = {
  begins: ['<tool_calls>', callBegin],
  inner: [callEnd, '<tool_sep>', keyBegin, keyEnd, valueBegin, valueEnd],
  framing: ['</tool_calls>'],
  grammar: grammar('<tool_calls>\n', '\n</tool_calls>', '<tool_sep>\n'),
  *read(source, calls, mark, tools) {
    if (mark === callBegin) yield* readCall(source, calls, tools);
    for (;;) {
      yield* source.blanks();
      if ((yield* source.option([callBegin, '</tool_calls>'])) !== callBegin) return;
      yield* readCall(source, calls, tools);
    }
  },
};

function* readCall(source: PieceReader, calls: CallWriter, tools: ToolSchemas): Reading {
  yield* source.blanks();
  const name = yield* readName(source);
  calls.begin(name);
  const written = new WrittenArguments(calls, false);
  for (;;) {
    yield* source.blanks();
    const next = yield* source.option([keyBegin, callEnd]);
    if (next === null) throw new Broken();
    if (next !== keyBegin) break;
    const key = (yield* source.upTo(keyEnd)).trim();
    yield* source.blanks();
    yield* source.expect(valueBegin);
    written.beginValue(key, tools.typesOf(name, key) ?? anything);
    yield* readValue(source, valueEnd, [keyBegin, callEnd], (text) => written.add(text));
    written.endValue();
  }
  written.end();
}

/** What no schema declares is JSON where it looks like it. */
const anything: ReadonlySet<string> = new Set(['any']);

/** A name up to a line end, a separator or a tag; the tag is not taken. */
function* readName(source: PieceReader): Reading<string> {
  let name = '';
  while (name.length < 256) {
    if ((yield* source.option(['<tool_sep>'])) !== null) break;
    const next = yield* source.peek();
    if (next === '' || next === '<' || next === '\n') break;
    name += source.take(1);
  }
  if (!/^[\w.:-]+$/.test(name.trim())) throw new Broken();
  return name.trim();
}

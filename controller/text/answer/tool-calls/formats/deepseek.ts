/**
 * DeepSeek V3 and R1: `function`, a separator, the name, and JSON in a block of code; V3.1: name, separator, JSON.
 */
import { readJson } from '../../reading/json-reader.ts';
import { Broken, type PieceReader, type Reading } from '../../reading/piece-reader.ts';
import type { CallWriter } from '../call-writer.ts';
import type { CallGrammar, ToolFormat } from '../tool-format.ts';

const [sectionBegin, sectionEnd] = ['<｜tool▁calls▁begin｜>', '<｜tool▁calls▁end｜>'];
const [callBegin, separator, callEnd] = ['<｜tool▁call▁begin｜>', '<｜tool▁sep｜>', '<｜tool▁call▁end｜>'];
const fence = '```';

function format(grammar: CallGrammar): ToolFormat {
  return {
    begins: [sectionBegin, callBegin],
    inner: [sectionEnd, separator, callEnd],
    grammar,
    *read(source, calls, mark) {
      if (mark === callBegin) yield* readCall(source, calls);
      for (;;) {
        yield* source.blanks();
        if ((yield* source.option([callBegin, sectionEnd])) !== callBegin) return;
        yield* readCall(source, calls);
      }
    },
  };
}

export const deepseekV3 = format({
  ...{ prefix: sectionBegin, between: '\n', suffix: sectionEnd },
  beginCall: (name) => `${callBegin}function${separator}${name}\n${fence}json\n`,
  ...{ arguments: 'json', endCall: `\n${fence}${callEnd}` },
});

export const deepseekV31 = format({
  ...{ prefix: sectionBegin, between: '', suffix: sectionEnd },
  beginCall: (name) => `${callBegin}${name}${separator}`,
  ...{ arguments: 'json', endCall: callEnd },
});

function* readCall(source: PieceReader, calls: CallWriter): Reading {
  let name = (yield* source.upTo(separator)).trim();
  if (name === 'function' && (yield* source.peek()) !== '{') name = (yield* source.upTo('\n')).trim();
  yield* source.blanks();
  const fenced = yield* source.option([`${fence}json`, fence]);
  yield* source.blanks();
  if (name === '' || (yield* source.peek()) !== '{') throw new Broken();
  calls.begin(name);
  yield* readJson(source, (text) => calls.arguments(text));
  calls.end();
  yield* source.blanks();
  if (fenced !== null) yield* source.option([fence]);
  yield* source.blanks();
  yield* source.option([callEnd]);
}

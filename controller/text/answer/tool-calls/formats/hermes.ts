/** Hermes, Qwen 2.5 and 3, EXAONE, SmolLM3, Granite 4, ERNIE: a JSON object in tags for each call. */
import { readJsonCalls } from '../json-call.ts';
import { jsonCalls, type ToolFormat } from '../tool-format.ts';

export const hermes: ToolFormat = {
  begins: ['<tool_call>'],
  inner: ['</tool_call>'],
  grammar: jsonCalls('<tool_call>\n', '\n</tool_call>', { between: '\n</tool_call>\n<tool_call>\n' }),
  *read(source, calls) {
    do {
      yield* source.blanks();
      yield* readJsonCalls(source, calls);
      yield* source.blanks();
    } while ((yield* source.peek()) === '{');
    yield* source.option(['</tool_call>']);
  },
};

/** Llama 3.1 to 3.3: one JSON object, alone or behind <|python_tag|>; several are parted by semicolons. */
import { readJsonCall } from '../json-call.ts';
import { jsonCalls, type ToolFormat } from '../tool-format.ts';

export const llama3: ToolFormat = {
  begins: ['<|python_tag|>'],
  bare: ['{'],
  grammar: jsonCalls('', '', { between: '; ', parameters: 'parameters' }),
  *read(source, calls, mark, tools) {
    const options = { known: mark === '' ? tools : null };
    for (;;) {
      yield* source.blanks();
      yield* readJsonCall(source, calls, options);
      yield* source.blanks();
      const more = (yield* source.option([';', ','])) !== null;
      if (!more && (yield* source.peek()) !== '{') return;
    }
  },
};

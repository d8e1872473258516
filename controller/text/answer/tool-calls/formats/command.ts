/** Command R7B and A: a JSON list between tokens; Command R: one in a block of code. */
import { readJsonCalls } from '../json-call.ts';
import { jsonCalls, type ToolFormat } from '../tool-format.ts';

export const command: ToolFormat = {
  begins: ['<|START_ACTION|>', 'Action: ```json', 'Action:```json'],
  inner: ['<|END_ACTION|>'],
  framing: [
    ...['<|START_RESPONSE|>', '<|END_RESPONSE|>', '<|START_TEXT|>', '<|END_TEXT|>'],
    ...['<|START_OF_TURN_TOKEN|>', '<|END_OF_TURN_TOKEN|>', '<|CHATBOT_TOKEN|>'],
  ],
  grammar: jsonCalls('<|START_ACTION|>[\n    ', '\n]<|END_ACTION|>', {
    between: ',\n    ',
    name: 'tool_name',
    parameters: 'parameters',
  }),
  *read(source, calls) {
    yield* source.blanks();
    yield* readJsonCalls(source, calls);
    yield* source.blanks();
    yield* source.option(['<|END_ACTION|>', '```']);
  },
};

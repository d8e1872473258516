import { expect, it } from 'vitest';
import { messagesOf } from '../../../../../controller/api/responses/items-to-chat.ts';
import { ResponseOutput } from '../../../../../controller/api/responses/response-output.ts';
import type { AnswerPart } from '../../../../../controller/text/answer/answer-part.ts';

const parts: readonly AnswerPart[] = [
  { kind: 'reasoning', text: 'Hm' },
  { kind: 'reasoning', text: 'm.' },
  { kind: 'content', text: 'I add.' },
  { kind: 'tool-call', index: 0, id: 'call_1', name: 'add' },
  { kind: 'arguments', index: 0, text: '{"a":' },
  { kind: 'arguments', index: 0, text: '12345678901234567890}' },
  { kind: 'tool-call', index: 1, id: 'call_2', name: 'now' },
];

function written() {
  const events: { type: string; members: object }[] = [];
  const output = new ResponseOutput((type, members) => events.push({ type, members }));
  for (const part of parts) output.write(part, []);
  output.end('completed');
  return { events, items: output.items };
}

it('what a model says becomes items, in its order', () => {
  expect(written().items).toMatchObject([
    { type: 'reasoning', summary: [], content: [{ type: 'reasoning_text', text: 'Hmm.' }] },
    { type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'I add.', annotations: [] }] },
    { type: 'function_call', call_id: 'call_1', name: 'add', arguments: '{"a":12345678901234567890}' },
    { type: 'function_call', call_id: 'call_2', name: 'now', arguments: '' },
  ]);
});

it('each item is begun, filled and ended, under one index', () => {
  const { events } = written();
  const calls = events.filter(({ members }) => 'output_index' in members && members.output_index === 2);
  expect(calls.map(({ type }) => type)).toEqual([
    'response.output_item.added',
    'response.function_call_arguments.delta',
    'response.function_call_arguments.delta',
    'response.function_call_arguments.done',
    'response.output_item.done',
  ]);
  expect(calls[0]?.members).toMatchObject({ item: { status: 'in_progress', arguments: '' } });
  expect(events.slice(0, 7).map(({ type }) => type)).toEqual([
    'response.output_item.added',
    'response.content_part.added',
    'response.reasoning_text.delta',
    'response.reasoning_text.delta',
    'response.reasoning_text.done',
    'response.content_part.done',
    'response.output_item.done',
  ]);
});

it('items of an answer become one turn again', () => {
  const items = [...written().items, { type: 'function_call_output', call_id: 'call_1', output: '3' }];
  const call = (id: string, name: string, given: string) => ({
    id,
    type: 'function',
    function: { name, arguments: given },
  });
  expect(messagesOf(items, (i) => `input[${i}]`)).toEqual([
    {
      role: 'assistant',
      content: 'I add.',
      reasoning_content: 'Hmm.',
      tool_calls: [call('call_1', 'add', '{"a":12345678901234567890}'), call('call_2', 'now', '')],
    },
    { role: 'tool', tool_call_id: 'call_1', content: '3' },
  ]);
});

import { expect, it } from 'vitest';
import { deltaOf, messageOf } from '../../../../../controller/api/chat/message.ts';
import type { AnswerPart } from '../../../../../controller/text/answer/answer-part.ts';

const parts: readonly AnswerPart[] = [
  { kind: 'reasoning', text: 'Two calls' },
  { kind: 'content', text: 'Let me see.' },
  { kind: 'tool-call', index: 0, id: 'call_a', name: 'add' },
  { kind: 'arguments', index: 0, text: '{"a":' },
  { kind: 'arguments', index: 0, text: '1}' },
  { kind: 'tool-call', index: 1, id: 'call_b', name: 'now' },
];

it('a message has its reasoning, content and whole calls', () => {
  expect(messageOf(parts)).toEqual({
    role: 'assistant',
    content: 'Let me see.',
    refusal: null,
    reasoning_content: 'Two calls',
    reasoning: 'Two calls',
    tool_calls: [
      { id: 'call_a', type: 'function', function: { name: 'add', arguments: '{"a":1}' } },
      { id: 'call_b', type: 'function', function: { name: 'now', arguments: '' } },
    ],
  });
});

it('a message that only calls has no content, and one that says nothing an empty one', () => {
  expect(messageOf(parts.slice(2))).toMatchObject({ content: null });
  expect(messageOf([])).toEqual({ role: 'assistant', content: '', refusal: null });
});

it('a part of a message names each call once', () => {
  expect(deltaOf(parts.slice(2, 4)).valueOf()).toEqual({
    tool_calls: [{ index: 0, id: 'call_a', type: 'function', function: { name: 'add', arguments: '{"a":' } }],
  });
  expect(deltaOf(parts.slice(4))).toEqual({
    tool_calls: [
      { index: 0, function: { arguments: '1}' } },
      { index: 1, id: 'call_b', type: 'function', function: { name: 'now', arguments: '' } },
    ],
  });
  expect(deltaOf([])).toEqual({});
});

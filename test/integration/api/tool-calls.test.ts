/** What a model thinks, says and calls, as OpenAI's clients read it. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readTextFiles } from '../../../controller/model/checkpoint/checkpoint-files.ts';
import { createTextModel } from '../../../controller/text/text-model.ts';
import { clerkDirectory, type Harness, maxModelLen, post, startHarness } from './gateway-harness.ts';

const mark = '[TOOL_CALLS]';
const args = '{"city": "Paris", "id": 9007199254740993}';
const answer = `<think>\nLook it up.\n</think>\n\nI look.${mark}weather[ARGS]${args}${mark}now[ARGS]{}`;
const template = `{# ${mark} </think> #}{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}`;
const request = {
  model: 'clerk',
  messages: [{ role: 'user' as const, content: 'Hi' }],
  tools: ['weather', 'now'].map((name) => ({ type: 'function' as const, function: { name, parameters: {} } })),
};

let harness: Harness;

/** The demo model's tokenizer with a special token that marks calls, as Mistral's has it. */
beforeAll(async () => {
  const files = await readTextFiles(clerkDirectory);
  const added = files.tokenizer['added_tokens'] as readonly object[];
  const token = { ...added[0], id: 259, content: mark };
  const tokenizer = { ...files.tokenizer, added_tokens: [...added, token] };
  const text = await createTextModel({ ...files, tokenizer, chatTemplate: template });
  const ids: number[] = [];
  for (const [i, part] of answer.split(mark).entries()) {
    if (i > 0) ids.push(259);
    ids.push(...(await text.encode(part, false, maxModelLen)));
  }
  harness = await startHarness({ token: (_request, _index, position) => ids[position] ?? 258 }, { text });
});
afterAll(() => harness.close());

const chat = async (body: object) => (await post(harness, '/v1/chat/completions', { ...request, ...body })).body;

describe('an answer that thinks and calls tools', () => {
  const calls = [
    { id: expect.stringMatching(/^\w{9}$/), type: 'function', function: { name: 'weather', arguments: args } },
    { id: expect.stringMatching(/^\w{9}$/), type: 'function', function: { name: 'now', arguments: '{}' } },
  ];

  it('has reasoning, content and calls in one document', async () => {
    const { choices, usage } = await chat({});
    const said = { content: 'I look.', reasoning_content: 'Look it up.', reasoning: 'Look it up.', tool_calls: calls };
    expect(choices[0]).toMatchObject({ finish_reason: 'tool_calls', message: { role: 'assistant', ...said } });
    expect(usage.completion_tokens_details.reasoning_tokens).toBeGreaterThan(5);
    expect(usage.completion_tokens_details.reasoning_tokens).toBeLessThan('<think>\nLook it up.\n</think>'.length);
  });

  it('is told by a stream with the same index and id throughout, arguments in pieces', async () => {
    const stream = harness.openai.chat.completions.stream(request);
    const pieces: string[] = [];
    const ids: (string | undefined)[] = [];
    stream.on('chunk', ({ choices }) => {
      for (const { index, id, function: called } of choices[0]?.delta.tool_calls ?? []) {
        if (id !== undefined) ids[index] = id;
        if (index === 0 && called?.arguments) pieces.push(called.arguments);
      }
    });
    const [choice] = (await stream.finalChatCompletion()).choices;
    expect(choice).toMatchObject({ finish_reason: 'tool_calls', message: { content: 'I look.', tool_calls: calls } });
    expect(choice?.message.tool_calls?.map(({ id }) => id)).toEqual(ids);
    expect(pieces.join('')).toBe(args);
    expect(pieces.length).toBeGreaterThan(5);
  });

  it('has one call where only one is wanted', async () => {
    const { choices } = await chat({ parallel_tool_calls: false });
    expect(choices[0]).toMatchObject({ finish_reason: 'tool_calls', message: { tool_calls: [calls[0]] } });
    expect(choices[0].message.tool_calls).toHaveLength(1);
  });

  it.each([{ tool_choice: 'none' }, { tools: undefined }])('is a text for a request with %o', async (body) => {
    const { choices } = await chat(body);
    const content = `I look.weather[ARGS]${args}now[ARGS]{}`;
    expect(choices[0]).toMatchObject({ finish_reason: 'stop', message: { content, reasoning: 'Look it up.' } });
    expect(choices[0].message).not.toHaveProperty('tool_calls');
  });

  it('keeps marks that are special tokens where those are asked for', async () => {
    const { choices } = await chat({ tools: undefined, skip_special_tokens: false });
    expect(choices[0].message.content).toBe(`I look.${mark}weather[ARGS]${args}${mark}now[ARGS]{}`);
  });
});

describe('a stop text that is a special token', () => {
  it('ends an answer although texts leave it out', async () => {
    const { choices } = await chat({ tools: undefined, stop: ['nothing', mark] });
    expect(choices[0]).toMatchObject({ finish_reason: 'stop', stop_reason: mark, message: { content: 'I look.' } });
    const included = await chat({ tools: undefined, stop: mark, include_stop_str_in_output: true });
    expect(included.choices[0].message.content).toBe(`I look.${mark}`);
  });
});

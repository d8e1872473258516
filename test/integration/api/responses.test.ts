import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { codedError } from '../../unit/controller/gateway/fake-pipeline.ts';
import { type Harness, post, startHarness } from './gateway-harness.ts';

const answer = 'Hé! ';
const ids = [39, 127, 102, 0, 220];
let harness: Harness;

beforeAll(async () => {
  harness = await startHarness({ token: (_request, _index, position) => ids[position] ?? 258 });
});
afterAll(() => harness.close());

const request = { model: 'clerk', input: 'Hi' };
const lastPrompt = async (): Promise<string> =>
  (await post(harness, '/detokenize', { tokens: harness.pipeline.requests.at(-1)?.promptTokenIds })).body.prompt;

describe('the official client, on responses', () => {
  it('gets one', async () => {
    const response = await harness.openai.responses.create({ ...request, instructions: 'Be brief.' });
    expect(response.output_text).toBe(answer);
    expect(response).toMatchObject({
      id: expect.stringMatching(/^resp_/),
      object: 'response',
      status: 'completed',
      incomplete_details: null,
      output: [{ id: expect.stringMatching(/^msg_/), type: 'message', role: 'assistant', status: 'completed' }],
      usage: { output_tokens: 6, output_tokens_details: { reasoning_tokens: 0 } },
    });
    expect(await lastPrompt()).toContain('system\nBe brief.');
  });

  it('streams one, with all its events', async () => {
    const stream = harness.openai.responses.stream(request);
    const types: string[] = [];
    const numbers: number[] = [];
    stream.on('event', ({ type, sequence_number }) => {
      types.push(type);
      numbers.push(sequence_number);
    });
    const response = await stream.finalResponse();
    expect(response.output_text).toBe(answer);
    expect(response.usage?.output_tokens).toBe(6);
    expect(types).toEqual([
      ...['response.created', 'response.in_progress', 'response.output_item.added', 'response.content_part.added'],
      ...Array.from({ length: 4 }, () => 'response.output_text.delta'),
      ...['response.output_text.done', 'response.content_part.done', 'response.output_item.done', 'response.completed'],
    ]);
    expect(numbers).toEqual(types.map((_, i) => i));
  });

  it('learns that tokens ran out', async () => {
    const response = await harness.openai.responses.create({ ...request, max_output_tokens: 1 });
    expect(response).toMatchObject({ status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } });
    const stream = await harness.openai.responses.create({ ...request, max_output_tokens: 1, stream: true });
    const types: string[] = [];
    for await (const { type } of stream) types.push(type);
    expect(types.at(-1)).toBe('response.incomplete');
  });

  it('goes on from an earlier one, streamed or not, without its instructions', async () => {
    const first = await harness.openai.responses.create({ ...request, instructions: 'Be brief.' });
    const second = await harness.openai.responses
      .stream({ ...request, input: 'And?', previous_response_id: first.id })
      .finalResponse();
    expect(second.previous_response_id).toBe(first.id);
    await harness.openai.responses.create({ ...request, input: 'More?', previous_response_id: second.id });
    const prompt = await lastPrompt();
    expect(prompt).not.toContain('Be brief.');
    expect(prompt.match(/user\n.*|assistant\n.*/g)).toEqual([
      ...['user\nHi<|im_end|>', `assistant\n${answer}<|im_end|>`, 'user\nAnd?<|im_end|>'],
      ...[`assistant\n${answer}<|im_end|>`, 'user\nMore?<|im_end|>', 'assistant\n'],
    ]);
  });

  it('gets, lists and deletes what is kept', async () => {
    const { responses } = harness.openai;
    const input = ['one', 'two', 'three'].map((content) => ({ role: 'user' as const, content }));
    const made = await responses.create({ ...request, input });
    expect(await responses.retrieve(made.id)).toMatchObject({ id: made.id, output: made.output });
    const contents: unknown[] = [];
    for await (const item of responses.inputItems.list(made.id, { limit: 2, order: 'asc' })) {
      contents.push('content' in item ? item.content : null);
    }
    expect(contents).toEqual(['one', 'two', 'three']);
    await responses.delete(made.id);
    await expect(responses.retrieve(made.id)).rejects.toBeInstanceOf(OpenAI.NotFoundError);
    await expect(responses.create({ ...request, previous_response_id: made.id })).rejects.toMatchObject({
      status: 400,
      param: 'previous_response_id',
    });
  });

  it('may name a type of a body that it does not send', async () => {
    const { id } = await harness.openai.responses.create(request);
    const init = { method: 'DELETE', headers: { 'content-type': 'application/json' } };
    const deleted = await fetch(`${harness.url}/v1/responses/${id}`, init);
    expect([deleted.status, await deleted.json()]).toEqual([200, { id, object: 'response', deleted: true }]);
  });

  it('has nothing kept with store: false', async () => {
    const { id } = await harness.openai.responses.create({ ...request, store: false });
    await expect(harness.openai.responses.retrieve(id)).rejects.toBeInstanceOf(OpenAI.NotFoundError);
  });

  it('gets log-probabilities', async () => {
    const include = ['message.output_text.logprobs' as const];
    const { output } = await harness.openai.responses.create({ ...request, include, top_logprobs: 1 });
    const [message] = output;
    const content = message?.type === 'message' ? message.content[0] : undefined;
    const logprobs = content?.type === 'output_text' ? content.logprobs : undefined;
    expect(logprobs?.[0]).toMatchObject({ token: 'H', logprob: -0.25, top_logprobs: [{ token: 'H' }] });
  });
});

it('a stream that is refused at once has a status of its own', async () => {
  const refusing = await startHarness({
    before: async () => {
      throw codedError('OVERLOADED', 'the queue is full');
    },
  });
  for (const [path, body] of [
    ['/v1/responses', request],
    ['/v1/chat/completions', { messages: [{ role: 'user', content: 'Hi' }] }],
    ['/v1/messages', { max_tokens: 5, messages: [{ role: 'user', content: 'Hi' }] }],
  ] as const) {
    expect((await post(refusing, path, { ...body, stream: true })).status).toBe(429);
  }
  await refusing.close();
});

const tool = { type: 'function', name: 'a', parameters: { type: 'object', properties: { x: { not: {} } } } };

describe('/v1/responses', () => {
  it('lists input items behind one that is there, and refuses one that is not', async () => {
    const items = ['one', 'two'].map((content, i) => ({ type: 'message', role: 'user', content, id: `item_${i}` }));
    const { id } = await harness.openai.responses.create({ model: 'clerk', input: items as never });
    const list = (query: string) => fetch(`${harness.url}/v1/responses/${id}/input_items?order=asc${query}`);
    expect(await (await list('&after=item_0')).json()).toMatchObject({ data: [{ id: 'item_1' }], has_more: false });
    const refused = await list('&after=item_7');
    expect(refused.status).toBe(400);
    expect(await refused.json()).toMatchObject({
      error: {
        param: 'after',
        message: expect.stringContaining('one of the input items of this response, got "item_7"'),
      },
    });
  });

  it.each([
    [{ input: undefined }, 'input', 'a text or an array of items, got nothing'],
    [{ input: [] }, 'input', 'at least one message'],
    [{ input: [5] }, 'input[0]', 'an item: a JSON object, got 5'],
    [{ input: [{ role: 'nobody', content: 'x' }] }, 'input[0].role', 'got "nobody"'],
    [{ input: [{ role: 'user', content: [{ type: 'input_image' }] }] }, 'input[0].content[0].type', '"input_image"'],
    [{ input: [{ type: 'computer_call' }] }, 'input[0].type', '"computer_call"'],
    [{ input: [{ type: 'function_call_output', output: '1' }] }, 'input[0].call_id', 'a string, got nothing'],
    [{ max_output_tokens: 10 ** 6 }, 'max_output_tokens', "this model's maximum context length"],
    [{ tools: [{ type: 'web_search' }] }, 'tools[0].type', 'only "function" is supported'],
    [{ tools: [tool, { type: 'function' }] }, 'tools[1].name', 'tools[1].name: expected the name of a function'],
    [
      { tools: [tool], tool_choice: 'required' },
      'tools[0].parameters.properties.x.not',
      'tools[0].parameters.properties.x.not: ',
    ],
    [
      { tools: [tool], tool_choice: { type: 'function', name: 'b' } },
      'tool_choice.name',
      'the name of one of the tools',
    ],
    [
      { input: [{ type: 'function_call_output', call_id: 'a', output: [{ type: 'input_image' }] }] },
      'input[0].output[0].type',
      '"input_image"',
    ],
    [{ truncation: 'auto' }, 'truncation', 'refused, not cut'],
    [{ background: true }, 'background', 'is not supported'],
    [{ conversation: 'conv_1' }, 'conversation', 'previous_response_id'],
    [{ temperature: 3 }, 'temperature', 'at most 2, got 3'],
  ])('refuses %j', async (body, param, message) => {
    const refused = await post(harness, '/v1/responses', { ...request, ...body });
    expect(refused.status).toBe(400);
    expect(refused.body.error).toMatchObject({ param, message: expect.stringContaining(message) });
  });
});

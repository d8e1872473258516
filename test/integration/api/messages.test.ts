import Anthropic from '@anthropic-ai/sdk';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createApiKeys } from '../../../platform/rpc/api-keys.ts';
import { type Harness, post, startHarness } from './gateway-harness.ts';

const answer = 'Hé! ';
const eos = 258;
const ids = [39, 127, 102, 0, 220];
let harness: Harness;
let client: Anthropic;

beforeAll(async () => {
  harness = await startHarness(
    { token: (_request, _index, position) => ids[position] ?? eos },
    { apiKeys: createApiKeys(['secret']) },
  );
  client = new Anthropic({ baseURL: harness.url, apiKey: 'secret', maxRetries: 0 });
});
afterAll(() => harness.close());

const request = { model: 'clerk', max_tokens: 20, messages: [{ role: 'user' as const, content: 'Hi' }] };
const key = { 'x-api-key': 'secret' };
/** The prompt of the last request, as the model's template writes it. */
const lastPrompt = async (): Promise<string> => {
  const tokens = harness.pipeline.requests.at(-1)?.promptTokenIds;
  return (await post(harness, '/detokenize', { tokens }, key)).body.prompt;
};

describe('the official client of Anthropic', () => {
  it('gets a message', async () => {
    const message = await client.messages.create(request);
    expect(message).toMatchObject({
      id: expect.stringMatching(/^msg_/),
      type: 'message',
      role: 'assistant',
      model: 'clerk',
      content: [{ type: 'text', text: answer }],
      stop_reason: 'end_turn',
      stop_sequence: null,
      usage: { input_tokens: 18, cache_read_input_tokens: 3, output_tokens: 6 },
    });
  });

  it('streams one, event by event', async () => {
    const stream = client.messages.stream(request);
    const events: string[] = [];
    stream.on('streamEvent', ({ type }) => events.push(type));
    const message = await stream.finalMessage();
    expect(message.content).toMatchObject([{ type: 'text', text: answer }]);
    expect(message).toMatchObject({ stop_reason: 'end_turn', usage: { output_tokens: 6 } });
    expect(events).toEqual([
      ...['message_start', 'content_block_start'],
      ...Array.from({ length: 4 }, () => 'content_block_delta'),
      ...['content_block_stop', 'message_delta', 'message_stop'],
    ]);
  });

  it('learns what ended a message', async () => {
    expect(await client.messages.create({ ...request, max_tokens: 2 })).toMatchObject({ stop_reason: 'max_tokens' });
    const stopped = await client.messages.create({ ...request, stop_sequences: ['!'] });
    expect(stopped).toMatchObject({ stop_reason: 'stop_sequence', stop_sequence: '!' });
  });

  it('has tokens counted as a message would use them', async () => {
    const { model, messages } = request;
    expect(await client.messages.countTokens({ model, messages })).toEqual({ input_tokens: 21 });
  });

  it('says what the model is asked: system prompt, blocks, thoughts and results of tools', async () => {
    await client.messages.create({
      ...request,
      system: [{ type: 'text', text: 'Be brief.' }],
      messages: [
        { role: 'user', content: [{ type: 'text', text: 'Add.', cache_control: { type: 'ephemeral' } }] },
        {
          role: 'assistant',
          content: [
            { type: 'text', text: 'Well.' },
            { type: 'tool_use', id: 'toolu_1', name: 'add', input: { a: 1 } },
          ],
        },
        { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'toolu_1', content: '2' }] },
        { role: 'user', content: 'So?' },
      ],
      tools: [{ name: 'add', input_schema: { type: 'object', properties: { a: { type: 'number' } } } }],
    });
    const prompt = await lastPrompt();
    for (const text of ['system\nBe brief.', 'user\nAdd.', 'tool\n2', 'user\nSo?']) expect(prompt).toContain(text);
  });

  it('gets errors of the types that it knows', async () => {
    await expect(client.messages.create({ ...request, model: 'other' })).rejects.toBeInstanceOf(
      Anthropic.NotFoundError,
    );
    const stranger = new Anthropic({ baseURL: harness.url, apiKey: 'wrong', maxRetries: 0 });
    await expect(stranger.messages.create(request)).rejects.toBeInstanceOf(Anthropic.AuthenticationError);
    await expect(client.messages.create({ ...request, max_tokens: 0 })).rejects.toMatchObject({
      status: 400,
      error: {
        type: 'error',
        error: {
          type: 'invalid_request_error',
          message: 'max_tokens: expected an integer of at least 1, got 0',
        },
      },
    });
  });
});

describe('/v1/messages', () => {
  it.each([
    [{ messages: undefined }, 'messages: expected at least one message, got nothing'],
    [{ messages: [] }, 'messages: expected at least one message, got an empty array'],
    [{ max_tokens: undefined }, 'max_tokens: expected an integer of at least 1, got nothing'],
    [
      { messages: [{ role: 'system', content: 'x' }] },
      'messages[0].role: expected "user" or "assistant", got "system"',
    ],
    [
      { messages: [{ role: 'user', content: 5 }] },
      'messages[0].content: expected a text or an array of content blocks',
    ],
    [
      { messages: [{ role: 'user', content: [{ type: 'image', source: {} }] }] },
      'messages[0].content[0].type: content blocks of type "image" are not supported here',
    ],
    [{ stop_sequences: [''] }, 'stop_sequences[0]: expected a text of 1 to 4096 characters, got ""'],
    [{ tools: [{ type: 'web_search_20250305', name: 'x' }] }, 'tools[0].type: only tools of the client, "custom"'],
    [
      { tools: [{ name: 'x', input_schema: { properties: { x: { not: {} } } } }], tool_choice: { type: 'any' } },
      'tools[0].input_schema.properties.x.not: ',
    ],
    [
      { tools: [{ name: 'x', input_schema: {} }], tool_choice: { type: 'tool', name: 'y' } },
      'tool_choice.name: expected the name of one of the tools, got "y"',
    ],
    [
      {
        messages: [
          {
            role: 'user',
            content: [{ type: 'tool_result', tool_use_id: 'a', content: [{ type: 'image', source: {} }] }],
          },
        ],
      },
      'messages[0].content[0].content[0].type: content blocks of type "image" are not supported here',
    ],
    [{ tools: [{ name: 'x' }] }, 'tools[0].input_schema: expected a JSON object, got nothing'],
    [{ tool_choice: { type: 'tool' } }, 'tool_choice.name: expected the name of a tool, got nothing'],
    [{ mcp_servers: [{}] }, 'mcp_servers: is not supported'],
    [{ temperature: 1.5 }, 'temperature: expected a number of at least 0 and at most 1, got 1.5'],
  ])('refuses %j', async (body, message) => {
    const refused = await post(harness, '/v1/messages', { ...request, ...body }, key);
    expect(refused.status).toBe(400);
    expect(refused.body).toEqual({
      type: 'error',
      error: { type: 'invalid_request_error', message: expect.stringContaining(message) },
    });
  });
});

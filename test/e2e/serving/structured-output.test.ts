import Ajv2020 from 'ajv/dist/2020.js';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Server } from '../server.ts';

const schema = {
  type: 'object',
  properties: {
    name: { type: 'string', minLength: 1, maxLength: 12 },
    kind: { enum: ['one', 'two'] },
    count: { type: 'integer', minimum: 0, maximum: 99 },
    tags: { type: 'array', items: { type: 'string', pattern: '^[a-z]{1,5}$' }, minItems: 1, maxItems: 3 },
  },
  required: ['name', 'kind', 'count', 'tags'],
  additionalProperties: false,
} as const;
const valid = new Ajv2020.default({ strict: false }).compile(schema);
const messages = [{ role: 'user', content: 'What is 974 + 662?' }] as const;

let server: Server;
let client: OpenAI;

beforeAll(async () => {
  server = await Server.start([]);
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'unused', maxRetries: 0, timeout: 60_000 });
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

async function ask(fields: object): Promise<{ readonly status: number; readonly body: never }> {
  const response = await fetch(`${server.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'clerk', messages, ...fields }),
  });
  return { status: response.status, body: (await response.json()) as never };
}

async function contents(fields: object): Promise<readonly string[]> {
  const { status, body } = await ask(fields);
  expect(status, JSON.stringify(body)).toBe(200);
  const { choices } = body as { choices: readonly { finish_reason: string; message: { content: string } }[] };
  expect(choices.map((choice) => choice.finish_reason)).toEqual(choices.map(() => 'stop'));
  return choices.map(({ message }) => message.content);
}

describe('structured output of a model that draws wildly', () => {
  const response_format = { type: 'json_schema', json_schema: { name: 'thing', strict: true, schema } } as const;

  it('satisfies a JSON schema, for several sequences at a time, greedily, and with penalties', async () => {
    for (const sampling of [
      { temperature: 2, seed: 1, n: 8 },
      { temperature: 0 },
      { temperature: 1, seed: 3, presence_penalty: 2, n: 2 },
    ]) {
      for (const text of await contents({ ...sampling, response_format })) {
        expect(valid(JSON.parse(text)), `${text} ${JSON.stringify(valid.errors)}`).toBe(true);
      }
    }
  });

  it('streams with log-probabilities of what the model itself thought', async () => {
    const stream = await client.chat.completions.create({
      model: 'clerk',
      messages: [...messages],
      response_format,
      temperature: 2,
      seed: 5,
      logprobs: true,
      top_logprobs: 2,
      stream: true,
    });
    let text = '';
    for await (const { choices } of stream) {
      text += choices[0]?.delta.content ?? '';
      for (const { logprob } of choices[0]?.logprobs?.content ?? []) expect(logprob).toBeLessThanOrEqual(0);
    }
    expect(valid(JSON.parse(text))).toBe(true);
  });

  it.each([
    ['a choice', { structured_outputs: { choice: ['apple', 'pear'] } }, /^(apple|pear)$/],
    ['a regular expression', { guided_regex: '[A-Z]{2}-\\d{3}' }, /^[A-Z]{2}-\d{3}$/],
    ['a grammar', { guided_grammar: 'root ::= "x" [0-9]{1,9} "y"{2}' }, /^x\d{1,9}yy$/],
    ['a schema as a text', { guided_json: JSON.stringify({ const: [1, 'a'] }) }, /^\[1,"a"\]$/],
  ])('is %s', async (_, fields, expected) => {
    for (const text of await contents({ ...fields, temperature: 1, seed: 2, n: 2, max_tokens: 200 }))
      expect(text).toMatch(expected);
  });

  it('is any JSON object, as far as its tokens reach', async () => {
    const { status, body } = await ask({
      response_format: { type: 'json_object' },
      temperature: 1,
      seed: 1,
      max_tokens: 30,
    });
    expect(status).toBe(200);
    const { choices } = body as { choices: readonly [{ message: { content: string } }] };
    expect(choices[0].message.content).toMatch(/^\{/);
  });

  it.each([
    [
      {
        response_format: {
          type: 'json_schema',
          json_schema: { name: 'x', schema: { properties: { a: { if: {}, else: {} } } } },
        },
      },
      'response_format.json_schema.schema.properties.a.if',
    ],
    [{ guided_regex: '(' }, 'guided_regex'],
    [{ structured_outputs: { grammar: 'root ::= root "a"' } }, 'structured_outputs.grammar'],
    [{ guided_choice: ['a'], guided_regex: 'b' }, 'guided_choice'],
    [{ structured_outputs: { structural_tag: '{}' } }, 'structured_outputs.structural_tag'],
    [{ guided_json: { type: 'string', maxLength: 10_000_000 } }, 'guided_json'],
  ])('refuses %j by its field', async (fields, param) => {
    const { status, body } = await ask(fields);
    expect(status).toBe(400);
    expect((body as { error: { param: string } }).error.param).toBe(param);
  });
});

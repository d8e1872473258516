/** Calls that a request demands, of a model that knows no tools: only the grammar makes them. */
import Ajv2020 from 'ajv/dist/2020.js';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Server } from '../server.ts';

const place = {
  type: 'object',
  properties: {
    city: { $ref: '#/$defs/name' },
    days: { type: 'array', items: { type: 'integer', minimum: 1, maximum: 14 }, minItems: 1, maxItems: 3 },
    unit: { enum: ['C', 'F', null] },
  },
  required: ['city', 'days', 'unit'],
  additionalProperties: false,
  $defs: { name: { type: 'string', pattern: '^[A-Z][a-z]{2,6}$' } },
};
const ajv = new Ajv2020.default({ strict: false });
const checks = {
  weather: ajv.compile(place),
  // A function without parameters takes none.
  now: ajv.compile({ type: 'object', maxProperties: 0 }),
  anything: ajv.compile({ type: 'object' }),
};

const tool = (name: keyof typeof checks, parameters?: object) => ({
  type: 'function' as const,
  function: { name, ...(parameters && { parameters: parameters as Record<string, unknown> }) },
});
const named = (name: keyof typeof checks) => ({ type: 'function', function: { name } }) as const;

const request = {
  model: 'clerk',
  messages: [{ role: 'user' as const, content: 'What is 974 + 662?' }],
  tools: [tool('weather', place), tool('now')],
  temperature: 1.5,
  seed: 1,
};
/** Keeps the demo model from its end tokens as long as anything else may come. */
const noEnd = { 256: -100, 258: -100 };
/** Makes it write `}` as soon as it may. */
const shortest = { 92: 100 };

type Call = readonly [name: string, args: string];

function callsOf({ tool_calls }: OpenAI.ChatCompletionMessage): readonly Call[] {
  const calls = tool_calls ?? [];
  expect(new Set(calls.map(({ id }) => id)).size).toBe(calls.length);
  return calls.map((call) => {
    if (call.type !== 'function') throw new Error(`a call of type ${call.type}`);
    return [call.function.name, call.function.arguments];
  });
}

function expectValid(calls: readonly Call[]): void {
  for (const [name, args] of calls) {
    const check = checks[name as keyof typeof checks];
    expect(check(JSON.parse(args)), `${name} ${args}: ${ajv.errorsText(check.errors)}`).toBe(true);
  }
}

// None is known for the model, arguments are markup, JSON behind marks, JSON without any.
describe.each(['auto', 'qwen3_coder', 'mistral', 'llama3_json'])('with --tool-call-parser %s', (format) => {
  let server: Server;
  let client: OpenAI;
  beforeAll(async () => {
    server = await Server.start(['--tool-call-parser', format]);
    client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'unused', maxRetries: 0, timeout: 60_000 });
  });
  afterAll(() => server.stop());

  it.each([
    ['any tool', 'required', ['weather', 'now']],
    ['a function by name', named('weather'), ['weather']],
    ['a function that takes nothing', named('now'), ['now']],
  ] as const)('%s is called once, whole and streamed', async (_, tool_choice, expected) => {
    for (const sampling of [{ temperature: 0 }, { n: 2 }]) {
      const body = { ...request, tool_choice, parallel_tool_calls: false, logit_bias: noEnd, ...sampling };
      const whole = await client.chat.completions.create(body);
      const all = whole.choices.map(({ message, finish_reason }) => {
        const calls = callsOf(message);
        expectValid(calls);
        expect(calls).toEqual([[expect.toBeOneOf([...expected]), expect.anything()]]);
        expect([message.content, finish_reason]).toEqual([null, 'tool_calls']);
        return calls;
      });
      const streamed = await client.chat.completions.stream(body).finalChatCompletion();
      expect(streamed.choices.map(({ message }) => callsOf(message))).toEqual(all);
      expect(new Set(streamed.choices.map(({ finish_reason }) => finish_reason))).toEqual(new Set(['tool_calls']));
    }
  });

  it('several tools are called as long as the model goes on', async () => {
    const body = { ...request, tool_choice: 'required' as const, logit_bias: noEnd, max_tokens: 350 };
    const [choice] = (await client.chat.completions.create(body)).choices;
    const calls = callsOf(choice!.message);
    expect(choice!.finish_reason).toBe('length');
    expect(calls.length).toBeGreaterThan(2);
    expectValid(calls.slice(0, -1));
  });

  it('arguments are an object where parameters say nothing', async () => {
    const tools = [tool('anything', {})];
    for (const seed of [1, 2, 3]) {
      const body = { ...request, seed, tools, tool_choice: 'required' as const, logit_bias: shortest };
      const { choices } = await client.chat.completions.create(body);
      const calls = callsOf(choices[0]!.message);
      expect(calls).toHaveLength(1);
      expectValid(calls);
    }
  });
});

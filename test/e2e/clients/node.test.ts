/** Node's clients with answers and calls that must fit zod's schemas. The demo model's values mean nothing. */
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateText, Output, stepCountIs, streamText, tool } from 'ai';
import OpenAI from 'openai';
import { zodFunction, zodResponseFormat, zodTextFormat } from 'openai/helpers/zod';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { Server } from '../server.ts';

const sum = z.object({
  total: z.int().min(0).max(9_999),
  note: z.string().max(8).nullable(),
  steps: z
    .array(z.object({ kind: z.enum(['add', 'carry']), digit: z.int().min(0).max(9) }))
    .min(1)
    .max(2),
});
const prompt = 'What is 974 + 662?';
const messages = [{ role: 'user' as const, content: prompt }];
const ask = { model: 'clerk', temperature: 0 };

let server: Server;
beforeAll(async () => {
  server = await Server.start([]);
});
afterAll(() => server.stop());

describe('openai', () => {
  const client = () => new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0, timeout: 60_000 });

  it('parses answers, whole and streamed', async () => {
    const body = { ...ask, messages, response_format: zodResponseFormat(sum, 'sum') };
    const parsed = (await client().chat.completions.parse(body)).choices[0]?.message.parsed;
    expect(sum.parse(parsed)).toEqual(parsed);
    const streamed = await client().chat.completions.stream(body).finalChatCompletion();
    expect(streamed.choices[0]?.message.parsed).toEqual(parsed);
    const response = await client().responses.parse({
      ...ask,
      input: prompt,
      text: { format: zodTextFormat(sum, 'sum') },
    });
    expect(response.output_parsed).toEqual(parsed);
  });

  it('runs a tool that is demanded, and sends its result back', async () => {
    const asked: unknown[] = [];
    const record = zodFunction({ name: 'record', parameters: sum, function: (args) => (asked.push(args), '1636') });
    const forced = { tool_choice: 'required' as const, parallel_tool_calls: false };
    const runner = client().chat.completions.runTools(
      { ...ask, ...forced, messages, tools: [record] },
      { maxChatCompletions: 2 },
    );
    await runner.done();
    expect(asked.map((args) => sum.parse(args))).toHaveLength(2);
    expect(runner.messages.map(({ role }) => role)).toEqual(['user', 'assistant', 'tool', 'assistant', 'tool']);
  });
});

describe("Vercel's ai", () => {
  const options = () => ({
    model: createOpenAICompatible({
      name: 'conclave',
      baseURL: `${server.url}/v1`,
      supportsStructuredOutputs: true,
    })('clerk'),
    ...{ prompt, temperature: 0, maxRetries: 0 },
  });

  it('gets objects, whole and streamed', async () => {
    const output = Output.object({ schema: sum });
    const whole = (await generateText({ ...options(), output })).output;
    expect(sum.parse(whole)).toEqual(whole);
    expect(await streamText({ ...options(), output }).output).toEqual(whole);
  });

  it('runs a tool that is demanded, and sends its result back', async () => {
    const record = tool({ inputSchema: sum, execute: () => '1636' });
    const { steps } = await generateText({
      ...options(),
      tools: { record },
      toolChoice: { type: 'tool', toolName: 'record' },
      prepareStep: ({ stepNumber }) => (stepNumber > 0 ? { toolChoice: 'none' } : {}),
      maxOutputTokens: 300,
      stopWhen: stepCountIs(2),
    });
    expect(steps.map(({ toolResults }) => toolResults.map(({ output }) => output))).toEqual([['1636'], []]);
    expect(steps[0]?.finishReason).toBe('tool-calls');
    expect(sum.safeParse(steps[0]?.toolCalls[0]?.input).success).toBe(true);
    expect(steps[1]?.text).not.toBe('');
  });
});

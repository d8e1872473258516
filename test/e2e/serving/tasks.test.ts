import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import OpenAI from 'openai';
import { describe, expect, it } from 'vitest';
import { root, Server } from '../server.ts';

interface Task {
  readonly prompt: string;
  /** What the reference says in f32, greedily. */
  readonly answer: string;
}

const inFlight = 32;
const tasks = readFileSync(join(root, 'models/clerk/tasks.jsonl'), 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as Task);

describe.each([
  ['f32', 0.99],
  ['q8', 0.97],
] as const)('the demo model in %s, through the official OpenAI client with 32 requests in flight', (weights, share) => {
  it.each([
    ['streaming', stream],
    ['not streaming', complete],
  ] as const)('answers as the reference does, %s', async (_, ask) => {
    await using server = await Server.start(['--weights', weights]);
    const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'unused', maxRetries: 0, timeout: 60_000 });
    const left = tasks.entries();
    let [same, asked] = [0, 0];
    const worker = async (): Promise<void> => {
      for (const [, task] of left) {
        const answer = await ask(client, task.prompt);
        asked++;
        if (answer === task.answer) same++;
      }
    };
    await Promise.all(Array.from({ length: inFlight }, worker));
    expect(asked).toBe(500);
    expect(same / asked).toBeGreaterThanOrEqual(share);
  });
});

const model = 'clerk';
/** More than the longest answer takes. */
const maxTokens = 128;

async function complete(client: OpenAI, prompt: string): Promise<string> {
  const completion = await client.chat.completions.create({
    model,
    messages: [{ role: 'user', content: prompt }],
    temperature: 0,
    max_tokens: maxTokens,
  });
  return completion.choices[0]?.message.content ?? '';
}

async function stream(client: OpenAI, prompt: string): Promise<string> {
  const chunks = await client.chat.completions.create({
    model,
    messages: [{ role: 'user', content: prompt }],
    temperature: 0,
    max_tokens: maxTokens,
    stream: true,
  });
  let text = '';
  for await (const chunk of chunks) text += chunk.choices[0]?.delta.content ?? '';
  return text;
}

import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateText, streamText } from 'ai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Harness, startHarness } from './gateway-harness.ts';

const answer = 'Hé! ';
const ids = [39, 127, 102, 0, 220];
let harness: Harness;

beforeAll(async () => {
  harness = await startHarness({ token: (_request, _index, position) => ids[position] ?? 258 });
});
afterAll(() => harness.close());

describe("Vercel's ai", () => {
  const model = () =>
    createOpenAICompatible({ name: 'conclave', baseURL: `${harness.url}/v1`, includeUsage: true })('clerk');

  it('generates a text', async () => {
    const { text, finishReason, usage } = await generateText({ model: model(), prompt: 'Hi', maxRetries: 0 });
    expect([text, finishReason, usage.outputTokens]).toEqual([answer, 'stop', 6]);
  });

  it('streams a text', async () => {
    const result = streamText({ model: model(), prompt: 'Hi', maxRetries: 0 });
    const pieces: string[] = [];
    for await (const piece of result.textStream) pieces.push(piece);
    expect(pieces).toEqual(['H', 'é', '!', ' ']);
    expect([await result.finishReason, (await result.usage).outputTokens]).toEqual(['stop', 6]);
  });
});

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Harness, startHarness } from './gateway-harness.ts';

const answer = 'Hello, wörld! 日本 👋🏽 ';
let harness: Harness;

beforeAll(async () => {
  harness = await startHarness({ answer });
});
afterAll(() => harness.close());

const messages = [{ role: 'user' as const, content: 'Say hello.' }];
const bytes = Buffer.byteLength(answer);

describe('the official openai client', () => {
  it('gets a chat completion', async () => {
    const completion = await harness.openai.chat.completions.create({ model: 'clerk', messages, max_tokens: bytes });
    expect(completion.choices[0]?.message.content).toBe(answer);
    expect(completion.choices[0]?.finish_reason).toBe('length');
    expect(completion.usage?.completion_tokens).toBe(bytes);
    expect(completion.usage?.prompt_tokens_details?.cached_tokens).toBe(3);
  });

  it('streams a chat completion in whole characters', async () => {
    const stream = await harness.openai.chat.completions.create({
      model: 'clerk',
      messages,
      max_tokens: bytes,
      n: 2,
      stream: true,
      stream_options: { include_usage: true },
    });
    const texts = ['', ''];
    let usage = null;
    for await (const chunk of stream) {
      usage = chunk.usage ?? usage;
      for (const choice of chunk.choices) {
        expect(choice.delta.content ?? '').not.toContain('\ufffd');
        texts[choice.index] += choice.delta.content ?? '';
      }
    }
    expect(texts).toEqual([answer, answer]);
    expect(usage?.completion_tokens).toBe(2 * bytes);
  });

  it('gets a text completion and a streamed one', async () => {
    const params = { model: 'org/clerk', prompt: 'Say', max_tokens: 5, seed: 7 };
    const whole = await harness.openai.completions.create(params);
    expect(whole.choices[0]?.text).toBe('Hello');
    let streamed = '';
    for await (const chunk of await harness.openai.completions.create({ ...params, stream: true })) {
      streamed += chunk.choices[0]?.text ?? '';
    }
    expect(streamed).toBe('Hello');
  });

  it('lists models', async () => {
    const models = await harness.openai.models.list();
    expect(models.data.map(({ id }) => id)).toEqual(['clerk', 'org/clerk']);
    expect((await harness.openai.models.retrieve('org/clerk')).id).toBe('org/clerk');
  });

  it('gets typed errors', async () => {
    await expect(harness.openai.chat.completions.create({ model: 'nobody', messages })).rejects.toMatchObject({
      status: 404,
      code: 'model_not_found',
      param: 'model',
    });
    await expect(
      harness.openai.chat.completions.create({ model: 'clerk', messages, temperature: -1 }),
    ).rejects.toMatchObject({ status: 400, param: 'temperature', type: 'invalid_request_error' });
  });
});

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Harness, post, readEvents, startHarness } from './gateway-harness.ts';

const answer = 'Hé! ';
let harness: Harness;

beforeAll(async () => {
  harness = await startHarness({
    answer,
    token: (_request, _index, position) => (position === 5 ? 258 : [39, 127, 102, 0, 220][position]!),
  });
});
afterAll(() => harness.close());

const request = { messages: [{ role: 'user', content: 'Hi' }] };
const chat = async (body: object) => (await post(harness, '/v1/chat/completions', { ...request, ...body })).body;

// oxlint-disable-next-line typescript/no-explicit-any
async function streamed(body: object): Promise<any[]> {
  const response = await fetch(`${harness.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...request, stream: true, ...body }),
  });
  expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
  expect(response.headers.get('cache-control')).toBe('no-cache');
  expect(response.headers.get('x-request-id')).not.toBeNull();
  const events = await readEvents(response);
  expect(events.at(-1)).toBe('[DONE]');
  return events.slice(0, -1).map((event) => JSON.parse(event));
}

describe('/v1/chat/completions', () => {
  it('answers in the documented shape and ends at the end of the sequence', async () => {
    expect(await chat({})).toEqual({
      id: expect.stringMatching(/^chatcmpl-/),
      object: 'chat.completion',
      created: expect.any(Number),
      model: 'clerk',
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content: answer, refusal: null },
          logprobs: null,
          finish_reason: 'stop',
          stop_reason: null,
        },
      ],
      usage: {
        prompt_tokens: 21,
        completion_tokens: 6,
        total_tokens: 27,
        prompt_tokens_details: { cached_tokens: 3 },
        completion_tokens_details: { reasoning_tokens: 0 },
      },
      system_fingerprint: 'fp_deadbeefdead',
    });
  });

  it('gives log-probabilities with bytes', async () => {
    const { choices } = await chat({ logprobs: true, top_logprobs: 2, max_tokens: 2 });
    expect(choices[0].logprobs.content).toEqual([
      {
        token: 'H',
        logprob: -0.25,
        bytes: [72],
        top_logprobs: [
          { token: 'H', logprob: -0.25, bytes: [72] },
          { token: 'I', logprob: -1.25, bytes: [73] },
        ],
      },
      {
        token: '\ufffd',
        logprob: -1.25,
        bytes: [0xc3],
        top_logprobs: [
          { token: '\ufffd', logprob: -1.25, bytes: [0xc3] },
          { token: '\ufffd', logprob: -2.25, bytes: [0xc4] },
        ],
      },
    ]);
  });

  it('shows special tokens when asked to', async () => {
    const { choices } = await chat({ skip_special_tokens: false, ignore_eos: true, max_tokens: 6 });
    expect(choices[0].message.content).toBe(`${answer}<|im_end|>`);
  });

  it('streams the role, pieces, a finish reason and usage', async () => {
    const chunks = await streamed({ stream_options: { include_usage: true } });
    const head = { object: 'chat.completion.chunk', model: 'clerk', system_fingerprint: 'fp_deadbeefdead' };
    expect(chunks.every((chunk) => chunk.id === chunks[0].id)).toBe(true);
    expect(chunks[0]).toMatchObject({ ...head, choices: [{ delta: { role: 'assistant', content: '' } }], usage: null });
    const pieces = chunks.slice(1, -1).map(({ choices }) => [choices[0].delta.content, choices[0].finish_reason]);
    expect(pieces).toEqual([
      ['H', null],
      ['é', null],
      ['!', null],
      [' ', null],
      [undefined, 'stop'],
    ]);
    expect(chunks.at(-1)).toMatchObject({ ...head, choices: [], usage: { completion_tokens: 6 } });
  });

  it('streams without usage unless asked to', async () => {
    for (const chunk of await streamed({})) expect(chunk).not.toHaveProperty('usage');
  });

  it('streams usage in every chunk when asked to', async () => {
    const options = { include_usage: true, continuous_usage_stats: true };
    const chunks = await streamed({ stream_options: options });
    expect(chunks.slice(1, -1).map(({ usage }) => usage.completion_tokens)).toEqual([1, 3, 4, 5, 6]);
  });

  it('streams log-probabilities and token ids with the tokens they belong to', async () => {
    const chunks = await streamed({ logprobs: true, return_token_ids: true });
    expect(chunks[0].prompt_token_ids).toHaveLength(21);
    const choices = chunks.slice(1).map((chunk) => chunk.choices[0]);
    expect(choices.map(({ token_ids }) => token_ids)).toEqual([[39], [127], [102], [0], [220], [258]]);
    expect(choices.map(({ logprobs }) => logprobs.content.length)).toEqual([1, 1, 1, 1, 1, 1]);
  });

  it('numbers the choices of n', async () => {
    const { choices, usage } = await chat({ n: 3 });
    expect(
      choices.map(({ index, message }: { index: number; message: { content: string } }) => [index, message.content]),
    ).toEqual([0, 1, 2].map((i) => [i, answer]));
    expect(usage).toMatchObject({ prompt_tokens: 21, completion_tokens: 18 });
  });

  it('draws a seed when none is given, and passes one on', async () => {
    await chat({});
    await chat({});
    await chat({ seed: 42 });
    const seeds = harness.pipeline.requests.slice(-3).map(({ sampling }) => sampling?.seed);
    expect(seeds[0]).not.toBe(seeds[1]);
    expect(seeds[2]).toBe('42');
    const body = '{"messages": [{"role": "user", "content": "Hi"}], "seed": -9223372036854775807}';
    expect((await post(harness, '/v1/chat/completions', body)).status).toBe(200);
    expect(harness.pipeline.requests.at(-1)?.sampling?.seed).toBe(String(2n ** 63n + 1n));
    expect((await post(harness, '/v1/chat/completions', body.replace('807', '809'))).body.error.message).toBe(
      'seed: expected an integer from -9223372036854775808 to 18446744073709551615, got -9223372036854775809',
    );
    expect((await post(harness, '/detokenize', '{"tokens": [9007199254740993]}')).body.error.message).toBe(
      'tokens[0]: expected a token id from 0 to 263, got 9007199254740993',
    );
  });
});

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Harness, post, readEvents, startHarness } from './gateway-harness.ts';

interface TextChoice {
  readonly index: number;
  readonly text: string;
}

const answer = 'Hi 日! ';
const smile = '日';
let harness: Harness;

beforeAll(async () => {
  harness = await startHarness({ answer });
});
afterAll(() => harness.close());

const complete = async (body: object) => (await post(harness, '/v1/completions', { prompt: 'Say', ...body })).body;
const encode = (text: string) => harness.text.encode(text, false, 512);

// oxlint-disable-next-line typescript/no-explicit-any
async function streamed(body: object): Promise<any[]> {
  const response = await fetch(`${harness.url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ prompt: 'Say', stream: true, ...body }),
  });
  const events = await readEvents(response);
  expect(events.at(-1)).toBe('[DONE]');
  return events.slice(0, -1).map((event) => JSON.parse(event));
}

describe('/v1/completions', () => {
  it('answers in the documented shape', async () => {
    expect(await complete({ max_tokens: 3 })).toEqual({
      id: expect.stringMatching(/^cmpl-/),
      object: 'text_completion',
      created: expect.any(Number),
      model: 'clerk',
      choices: [{ index: 0, text: 'Hi ', logprobs: null, finish_reason: 'length', stop_reason: null }],
      usage: { prompt_tokens: 3, completion_tokens: 3, total_tokens: 6, prompt_tokens_details: { cached_tokens: 3 } },
      system_fingerprint: 'fp_deadbeefdead',
    });
  });

  it('gives log-probabilities with offsets in code points', async () => {
    const { choices } = await complete({ max_tokens: 7, logprobs: 1 });
    const [h, i, space, ...bytes] = await encode('Hi 日!');
    expect(choices[0].text).toBe('Hi 日!');
    expect(choices[0].logprobs).toEqual({
      tokens: ['H', 'i', ' ', 'bytes:\\xe6', 'bytes:\\x97', 'bytes:\\xa5', '!'],
      token_logprobs: [0, 1, 2, 3, 4, 5, 6].map((position) => -0.25 - position),
      top_logprobs: expect.arrayContaining([{ H: -0.25 }]),
      text_offset: [0, 1, 2, 3, 3, 3, 4],
    });
    expect([h, i, space, ...bytes]).toHaveLength(7);
  });

  it('names tokens by their ids when asked to', async () => {
    const { choices } = await complete({ max_tokens: 1, logprobs: 0, return_tokens_as_token_ids: true });
    const [h] = await encode('H');
    expect(choices[0].logprobs.tokens).toEqual([`token_id:${h}`]);
    expect(choices[0].logprobs.top_logprobs).toEqual([{ [`token_id:${h}`]: -0.25 }]);
  });

  it('echoes and scores the prompt, and generates nothing for max_tokens 0', async () => {
    const { choices, usage } = await complete({ prompt: `a${smile}b`, echo: true, logprobs: 2, max_tokens: 0 });
    expect(choices[0].text).toBe(`a${smile}b`);
    expect(choices[0].finish_reason).toBe('length');
    expect(choices[0].logprobs.token_logprobs).toEqual([null, -1.25, -2.25, -3.25, -4.25]);
    expect(choices[0].logprobs.top_logprobs[0]).toBeNull();
    expect(Object.keys(choices[0].logprobs.top_logprobs[4])).toHaveLength(2);
    expect(choices[0].logprobs.text_offset).toEqual([0, 1, 1, 1, 2]);
    expect(usage.completion_tokens).toBe(0);
  });

  it('echoes before what is generated, with one list of scores', async () => {
    const { choices } = await complete({ prompt: [33, 34], echo: true, logprobs: 0, max_tokens: 2, n: 2 });
    for (const choice of choices) {
      expect(choice.text).toBe('BCHi');
      expect(choice.logprobs.tokens).toEqual(['B', 'C', 'H', 'i']);
      expect(choice.logprobs.text_offset).toEqual([0, 1, 2, 3]);
      expect(choice.logprobs.token_logprobs).toEqual([null, -1.25, -0.25, -1.25]);
    }
  });

  it('needs no pipeline to echo without scores', async () => {
    const before = harness.pipeline.requests.length;
    const { choices } = await complete({ prompt: 'abc', echo: true, max_tokens: 0 });
    expect(choices[0].text).toBe('abc');
    expect(harness.pipeline.requests).toHaveLength(before);
  });

  it('answers several prompts with n choices each, in order', async () => {
    const { choices, usage } = await complete({ prompt: ['a', 'bb'], echo: true, n: 2, max_tokens: 1 });
    expect(choices.map(({ index, text }: TextChoice) => [index, text])).toEqual([
      [0, 'aH'],
      [1, 'aH'],
      [2, 'bbH'],
      [3, 'bbH'],
    ]);
    expect(usage).toMatchObject({ prompt_tokens: 3, completion_tokens: 4 });
  });

  it('answers more prompts than it runs at a time', async () => {
    const prompt = Array.from({ length: 100 }, (_, i) => `${i} `);
    const { choices } = await complete({ prompt, echo: true, max_tokens: 1 });
    expect(choices.map(({ text }: TextChoice) => text)).toEqual(prompt.map((text) => `${text}H`));
  });

  it('returns token ids when asked to', async () => {
    const { choices } = await complete({ max_tokens: 2, return_token_ids: true });
    expect(choices[0].token_ids).toEqual(await encode('Hi'));
    expect(choices[0].prompt_token_ids).toEqual(await encode('Say'));
  });

  it.each([
    [{ stop: '日' }, 'Hi ', 'stop', '日'],
    [{ stop: ['!', 'i 日'] }, 'H', 'stop', 'i 日'],
    [{ stop: '日', include_stop_str_in_output: true }, 'Hi 日', 'stop', '日'],
    [{ stop: 'never' }, 'Hi 日! Hi', 'length', null],
  ])('ends at stop texts: %j', async (body, text, finish_reason, stop_reason) => {
    const expected = { text, finish_reason, stop_reason };
    expect((await complete({ max_tokens: 10, ...body })).choices[0]).toMatchObject(expected);
    const chunks = await streamed({ max_tokens: 10, ...body });
    expect(chunks.map(({ choices }) => choices[0].text).join('')).toBe(text);
    expect(chunks.at(-1).choices[0]).toMatchObject({ finish_reason, stop_reason });
  });

  it('stops only the choice whose text met a stop text', async () => {
    const [hi, bang] = [await encode('Hi'), await encode('!')];
    const token = (_request: unknown, index: number, position: number) =>
      index === 1 && position === 2 ? bang[0]! : hi[position % hi.length]!;
    const other = await startHarness({ token });
    const { body } = await post(other, '/v1/completions', { prompt: 'Say', n: 3, max_tokens: 40, stop: '!' });
    expect(body.choices).toMatchObject([
      { text: 'Hi'.repeat(20), finish_reason: 'length' },
      { text: 'Hi', finish_reason: 'stop', stop_reason: '!' },
      { text: 'Hi'.repeat(20), finish_reason: 'length' },
    ]);
    expect(body.usage.completion_tokens).toBe(40 + 3 + 40);
    expect([...other.pipeline.stopped].map((stopped) => stopped.at(-1))).toEqual(['1']);
    await other.close();
  });

  it('ends at stop tokens, which are not in the text unless asked for', async () => {
    const [bang] = await encode('!');
    const body = { max_tokens: 10, stop_token_ids: [bang] };
    expect((await complete(body)).choices[0]).toMatchObject({
      text: 'Hi 日',
      finish_reason: 'stop',
      stop_reason: bang,
    });
    const included = await complete({ ...body, include_stop_str_in_output: true });
    expect(included.choices[0].text).toBe('Hi 日!');
  });

  it('streams what it would answer at once', async () => {
    const body = { prompt: ['a', 'bb'], n: 2, echo: true, logprobs: 1, max_tokens: 8, return_token_ids: true };
    const whole = await complete(body);
    const chunks = await streamed({ ...body, stream_options: { include_usage: true } });
    const last = chunks.pop();
    expect(last).toMatchObject({ choices: [], usage: whole.usage });
    for (const choice of whole.choices) {
      const own = chunks.flatMap(({ choices }) => choices).filter(({ index }) => index === choice.index);
      expect(own.map(({ text }) => text).join('')).toBe(choice.text);
      expect(own.flatMap(({ token_ids }) => token_ids)).toEqual(choice.token_ids);
      expect(own.flatMap(({ prompt_token_ids }) => prompt_token_ids ?? [])).toEqual(choice.prompt_token_ids);
      for (const key of ['tokens', 'token_logprobs', 'top_logprobs', 'text_offset']) {
        expect(own.flatMap(({ logprobs }) => logprobs[key])).toEqual(choice.logprobs[key]);
      }
    }
    expect(chunks.every(({ usage }) => usage === null)).toBe(true);
  });
});

const call = async (path: string, body: object) => (await post(harness, path, body)).body;

describe('/tokenize and /detokenize', () => {
  it('turn text into token ids and back', async () => {
    const tokens = await encode('Hi 日');
    expect(await call('/tokenize', { prompt: 'Hi 日' })).toEqual({
      count: 6,
      max_model_len: 512,
      tokens,
      token_strs: null,
    });
    expect(await call('/detokenize', { tokens })).toEqual({ prompt: 'Hi 日' });
  });

  it('come with what lm-eval asks of a tokenizer', async () => {
    expect(await (await fetch(`${harness.url}/tokenizer_info`)).json()).toEqual({
      ...{
        tokenizer_class: 'Qwen2TokenizerFast',
        bos_token: null,
        eos_token: '<|im_end|>',
        pad_token: '<|endoftext|>',
      },
      chat_template: expect.stringContaining('add_generation_prompt'),
    });
  });

  it('put messages through the chat template', async () => {
    const { tokens } = await call('/tokenize', { messages: [{ role: 'user', content: 'Hi' }] });
    expect(await call('/detokenize', { tokens })).toEqual({
      prompt: '<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n',
    });
  });

  it.each([
    ['/tokenize', {}, 'prompt'],
    ['/tokenize', { prompt: 5 }, 'prompt'],
    ['/tokenize', { prompt: 'a', model: 'x' }, 'model'],
    ['/detokenize', {}, 'tokens'],
    ['/detokenize', { tokens: [264] }, 'tokens[0]'],
  ])('%s refuses %j', async (path, body, param) => {
    expect((await call(path, body)).error).toMatchObject({ param });
  });

  it('take at most 2^20 tokens', async () => {
    const long = await call('/tokenize', { prompt: '日'.repeat(2 ** 20 / 3 + 1) });
    expect(long.error).toMatchObject({ param: 'prompt', code: 'context_length_exceeded' });
    const many = await call('/detokenize', { tokens: Array.from({ length: 2 ** 20 + 1 }, () => 1) });
    expect(many.error).toMatchObject({ param: 'tokens' });
  });
});

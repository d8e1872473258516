import { describe, expect, it } from 'vitest';
import { planChat } from '../../../../controller/api/chat/chat-completions.ts';
import { planCompletion } from '../../../../controller/api/completions/completions.ts';
import { createInference, head } from './inference-fixture.ts';

const { inference } = await createInference();
const { signal } = new AbortController();
const chat = (body: object) =>
  planChat({ messages: [{ role: 'user', content: 'Hi' }], ...body }, inference, head, signal);
const completion = (body: object) => planCompletion({ prompt: 'Hi', ...body }, inference, head, signal);
const huge = 10 ** 9;

describe('fields that both APIs refuse', () => {
  const cases: readonly (readonly [object, string, string])[] = [
    [{ temperature: -0.1 }, 'temperature', 'expected a number of at least 0 and at most 1000000, got -0.1'],
    [{ temperature: '1' }, 'temperature', 'got "1"'],
    [{ top_p: -0.1 }, 'top_p', 'at least 0 and at most 1'],
    [{ top_p: 1.1 }, 'top_p', 'got 1.1'],
    [{ top_k: -2 }, 'top_k', 'an integer of at least -1'],
    [{ top_k: 1.5 }, 'top_k', 'got 1.5'],
    [{ min_p: 2 }, 'min_p', 'at most 1'],
    [{ repetition_penalty: 0 }, 'repetition_penalty', 'at least 0.000001 and at most 1000000'],
    [{ temperature: 3e300 }, 'temperature', 'at least 0 and at most 1000000'],
    [{ presence_penalty: 2.5 }, 'presence_penalty', 'at most 2'],
    [{ frequency_penalty: -3 }, 'frequency_penalty', 'at least -2'],
    [{ n: 0 }, 'n', 'at least 1'],
    [{ n: huge }, 'n', 'at most 128'],
    [{ seed: 1.5 }, 'seed', 'an integer'],
    [{ stop: 5 }, 'stop', 'a string or an array of strings'],
    [{ stop: ['a', ''] }, 'stop[1]', 'got ""'],
    [{ stop: '\ud800' }, 'stop[0]', 'a text'],
    [{ stop: Array.from({ length: 65 }, () => 'a') }, 'stop', 'at most 64'],
    [{ stop_token_ids: [264] }, 'stop_token_ids[0]', 'a token id from 0 to 263, got 264'],
    [{ logit_bias: [] }, 'logit_bias', 'a JSON object'],
    [{ logit_bias: { a: 1 } }, 'logit_bias', 'token ids from 0 to 263 as keys, got "a"'],
    [{ logit_bias: { '264': 1 } }, 'logit_bias', 'got "264"'],
    [{ logit_bias: { '1': 101 } }, 'logit_bias.1', 'at most 100'],
    [{ ignore_eos: 1 }, 'ignore_eos', 'a boolean'],
    [{ stream: 'yes' }, 'stream', 'a boolean'],
    [{ stream_options: {} }, 'stream_options', 'unless "stream" is true'],
    [{ stream: true, stream_options: { include_usage: 1 } }, 'stream_options.include_usage', 'a boolean'],
    [{ max_tokens: -1 }, 'max_tokens', 'at least 0'],
    [{ max_tokens: huge }, 'max_tokens', 'maximum context length is 64'],
    [{ n: 3, best_of: 2 }, 'best_of', 'at least n, which is 3'],
    [{ best_of: 2, stream: true }, 'best_of', 'n, which is 1, where "stream" is true'],
    [{ use_beam_search: true }, 'use_beam_search', 'is not supported'],
    [{ min_tokens: -1 }, 'min_tokens', 'at least 0'],
    [{ min_tokens: 6, max_tokens: 5 }, 'min_tokens', 'at most the tokens that are generated, which are 5, got 6'],
    [{ allowed_token_ids: [264] }, 'allowed_token_ids[0]', 'a token id from 0 to 263'],
    [{ allowed_token_ids: [] }, 'allowed_token_ids', 'at least one token id'],
    [{ guided_json: { not: {} } }, 'guided_json.not', 'is not supported'],
    [{ guided_json: '{' }, 'guided_json', 'a JSON schema'],
    [{ structured_outputs: { regex: '\\b' } }, 'structured_outputs.regex', 'is not supported'],
    [
      { structured_outputs: { regex: 'a' }, guided_choice: ['b'] },
      'guided_choice',
      'nothing beside structured_outputs.regex',
    ],
    [{ guided_choice: [] }, 'guided_choice', 'one text or more'],
    [{ response_format: { type: 'json_schema' } }, 'response_format.json_schema.schema', 'a JSON schema'],
    [
      { response_format: { type: 'structural_tag' } },
      'response_format.type',
      'only "text", "json_object" and "json_schema"',
    ],
    [{ prompt_logprobs: 21 }, 'prompt_logprobs', 'at most 20'],
    [{ prompt_logprobs: 1, stream: true }, 'prompt_logprobs', 'nothing where "stream" is true'],
    [{ truncate_prompt_tokens: 65 }, 'truncate_prompt_tokens', '1 to 64 tokens'],
    [{ truncate_prompt_tokens: 0 }, 'truncate_prompt_tokens', 'got 0'],
    [{ bad_words: 'x' }, 'bad_words', 'an array'],
    [{ bad_words: ['a', ''] }, 'bad_words[1]', 'a text of 1 to 1024 characters, got ""'],
  ];
  it.each(cases)('%j', async (body, field, message) => {
    const expected = { field, httpStatus: 400, message: expect.stringContaining(message) };
    await expect(chat(body)).rejects.toMatchObject(expected);
    await expect(completion(body)).rejects.toMatchObject(expected);
  });

  it.each([
    {},
    { temperature: null, top_p: null, seed: null, stop: null, n: null, logit_bias: null, response_format: null },
    { best_of: 1, min_tokens: 0, use_beam_search: false, length_penalty: 1, priority: 0, bad_words: [] },
    { n: 2, best_of: 2 },
    { user: 'someone', metadata: { a: 'b' }, unknown_field: [1] },
    { response_format: { type: 'text' } },
    { top_k: -1, top_p: 0, seed: -5 },
  ])('but not %j', async (body) => {
    expect((await chat(body)).generations).toHaveLength(1);
    expect((await completion(body)).generations).toHaveLength(1);
  });
});

describe('which tokens may come', () => {
  const constraintOf = async (body: object) => (await chat(body)).generations[0]?.constraint;

  it('is not constrained unless asked for', async () => {
    expect(await constraintOf({ min_tokens: 0, bad_words: [], allowed_token_ids: null })).toBeNull();
  });

  it('are those that are listed, and no end before min_tokens', async () => {
    expect(await constraintOf({ min_tokens: 3, allowed_token_ids: [5, 7], max_tokens: 4 })).toEqual({
      grammar: null,
      allowedTokenIds: [5, 7],
      badWords: [],
      minTokens: 3,
    });
  });

  it('are not bad words, at the beginning of a text nor, where that is other tokens of the same number, behind a space', async () => {
    const encode = (text: string) => inference.text.encode(text, false, 64);
    const constraint = await constraintOf({ bad_words: [' a', 'ab', 'ab'] });
    const [a, spaced] = [await encode('a'), await encode(' a')];
    const expected = [a, ...(spaced.length === a.length && spaced[0] !== a[0] ? [spaced] : []), await encode('ab')];
    expect(constraint?.badWords.map(({ ids }) => ids)).toEqual(expected);
  });
});

describe('truncate_prompt_tokens', () => {
  it('keeps the last tokens of texts and of token ids', async () => {
    const promptOf = async (body: object) => (await completion(body)).generations[0]?.promptTokenIds;
    const ids = await inference.text.encode('abc', false, 64);
    expect(await promptOf({ prompt: 'abc', truncate_prompt_tokens: 2 })).toEqual(ids.slice(-2));
    expect(await promptOf({ prompt: [1, 2, 3], truncate_prompt_tokens: 2 })).toEqual([2, 3]);
    const long = { prompt: 'x'.repeat(500), truncate_prompt_tokens: -1 };
    await expect(completion(long)).rejects.toMatchObject({ message: expect.stringContaining('no room for output') });
    expect(await promptOf({ ...long, truncate_prompt_tokens: 60 })).toHaveLength(60);
  });
});

it('with best_of, more sequences are generated and scored than are answered', async () => {
  expect((await completion({ n: 2, best_of: 5 })).generations[0]).toMatchObject({ n: 5, logprobs: 0 });
  expect((await chat({ best_of: 3 })).generations[0]).toMatchObject({ n: 3, logprobs: 0 });
  expect((await chat({ n: 2, best_of: 2 })).generations[0]).toMatchObject({ n: 2, logprobs: null });
});

describe('a chat request', () => {
  it.each([
    [{ messages: undefined }, 'messages', 'at least one message, got nothing'],
    [{ messages: [] }, 'messages', 'at least one message'],
    [{ messages: 'Hi' }, 'messages', 'an array'],
    [{ messages: ['Hi'] }, 'messages[0]', 'a JSON object'],
    [{ messages: [{ content: 'Hi' }] }, 'messages[0].role', 'a role'],
    [{ messages: [{ role: 'user' }] }, 'messages[0].content', 'a text'],
    [{ messages: [{ role: 'user', content: 5 }] }, 'messages[0].content', 'a text or an array of parts'],
    [
      { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'x' } }] }] },
      'messages[0].content[0].type',
      'parts of type "image_url" are not supported',
    ],
    [{ messages: [{ role: 'user', content: [{ type: 'text' }] }] }, 'messages[0].content[0].text', 'a text'],
    [{ top_logprobs: 3 }, 'top_logprobs', 'unless "logprobs" is true'],
    [{ logprobs: true, top_logprobs: 21 }, 'top_logprobs', 'at most 20'],
    [{ logprobs: 1 }, 'logprobs', 'a boolean'],
    [{ max_completion_tokens: huge }, 'max_completion_tokens', 'maximum context length'],
    [{ tool_choice: 'required' }, 'tool_choice', 'where there are no tools'],
    [{ tools: [{ type: 'web' }] }, 'tools[0].type', 'only "function"'],
    [{ functions: [{}] }, 'functions', 'use tools'],
    [{ audio: { voice: 'x' } }, 'audio', 'is not supported'],
    [{ modalities: ['text', 'audio'] }, 'modalities', 'only "text"'],
    [{ chat_template: 'x' }, 'chat_template', 'the template of the model'],
    [{ chat_template_kwargs: { messages: [] } }, 'chat_template_kwargs.messages', 'another name'],
    [{ add_generation_prompt: true, continue_final_message: true }, 'continue_final_message', 'false when'],
    [{ messages: [{ role: 'user', content: 'x'.repeat(65) }] }, 'messages', 'maximum context length is 64'],
  ])('refuses %j', async (body, field, message) => {
    await expect(chat(body)).rejects.toMatchObject({
      field,
      httpStatus: 400,
      message: expect.stringContaining(message),
    });
  });

  it('becomes token ids by the chat template, with the context that is left as its length', async () => {
    const { generations } = await chat({});
    const ids = await inference.text.encode('<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n', false, 64);
    expect(generations[0]?.promptTokenIds).toEqual(ids);
    expect(generations[0]?.maxTokens).toBe(64 - ids.length);
  });

  it('joins text parts', async () => {
    const parts = await chat({
      messages: [
        {
          role: 'user',
          content: [
            { type: 'text', text: 'H' },
            { type: 'text', text: 'i' },
          ],
        },
      ],
    });
    const whole = await chat({ messages: [{ role: 'user', content: 'H\ni' }] });
    expect(parts.generations[0]?.promptTokenIds).toEqual(whole.generations[0]?.promptTokenIds);
  });

  it('prefers max_completion_tokens to max_tokens', async () => {
    const { generations } = await chat({ max_tokens: 9, max_completion_tokens: 4 });
    expect(generations[0]?.maxTokens).toBe(4);
  });
});

describe('a text completion request', () => {
  it.each([
    [{ prompt: undefined }, 'prompt', 'got nothing'],
    [{ prompt: '' }, 'prompt', 'no tokens'],
    [{ prompt: [] }, 'prompt', '1 to 1024 prompts'],
    [{ prompt: {} }, 'prompt', 'an array of token ids'],
    [{ prompt: ['a', 5] }, 'prompt[1]', 'got 5'],
    [{ prompt: [5, 'a'] }, 'prompt[1]', 'a token id from 0 to 263, got "a"'],
    [{ prompt: [5, 264] }, 'prompt[1]', 'got 264'],
    [{ prompt: [[5], [-1]] }, 'prompt[1][0]', 'got -1'],
    [{ prompt: [[5], []] }, 'prompt[1]', 'no tokens'],
    [{ prompt: Array.from({ length: 65 }, () => 1) }, 'prompt', 'has 65 tokens'],
    [{ prompt: 'x'.repeat(65) }, 'prompt', 'maximum context length is 64'],
    [{ prompt: 'x'.repeat(64) }, 'max_tokens', 'no room for output'],
    [{ prompt: 'x'.repeat(60), max_tokens: 5 }, 'max_tokens', '65 were asked for'],
    [{ logprobs: 21 }, 'logprobs', 'at most 20'],
    [{ echo: 'yes' }, 'echo', 'a boolean'],
    [{ suffix: 'x' }, 'suffix', 'is not supported'],
  ])('refuses %j', async (body, field, message) => {
    await expect(completion(body)).rejects.toMatchObject({
      field,
      httpStatus: 400,
      message: expect.stringContaining(message),
    });
  });

  it.each([
    ['a text', 'Hi', [[39, 72]]],
    ['texts', ['H', 'i'], [[39], [72]]],
    ['token ids', [1, 2], [[1, 2]]],
    ['several token ids', [[1], [2, 3]], [[1], [2, 3]]],
  ])('takes %s', async (_name, prompt, expected) => {
    const { generations } = await completion({ prompt });
    expect(generations.map(({ promptTokenIds }) => promptTokenIds)).toEqual(expected);
  });

  it('is refused when its answer would repeat the scores of prompts too often', async () => {
    const prompt = Array.from({ length: 40 }, () => Array.from({ length: 60 }, () => 1));
    const asked = { prompt, echo: true, max_tokens: 0, logprobs: 20, n: 128 };
    await expect(completion(asked)).rejects.toMatchObject({ field: 'echo', httpStatus: 400 });
    for (const less of [{ n: 80 }, { logprobs: 10 }, { echo: false }, { prompt: prompt.slice(20) }]) {
      await expect(completion({ ...asked, ...less })).resolves.toBeDefined();
    }
  });

  it('lets others have their turn while it reads many prompts', async () => {
    let turns = 0;
    let counting = setImmediate(function count() {
      turns++;
      counting = setImmediate(count);
    });
    await completion({ prompt: Array.from({ length: 100 }, () => 'a') });
    clearImmediate(counting);
    expect(turns).toBeGreaterThanOrEqual(99);
  });

  it('generates 16 tokens by default, and never more than the context leaves', async () => {
    expect((await completion({})).generations[0]?.maxTokens).toBe(16);
    expect((await completion({ prompt: 'x'.repeat(60) })).generations[0]?.maxTokens).toBe(4);
  });

  it('scores the prompt when it is echoed with log-probabilities', async () => {
    expect((await completion({ echo: true, logprobs: 3 })).generations[0]?.promptLogprobs).toBe(3);
    expect((await completion({ logprobs: 3 })).generations[0]?.promptLogprobs).toBeNull();
  });

  it('passes sampling parameters on, over the defaults of the model', async () => {
    const { generations } = await completion({
      temperature: 0.5,
      top_k: -1,
      logit_bias: { 5: -2 },
      seed: -1,
      min_p: 0.1,
    });
    expect(generations[0]?.sampling).toEqual({
      temperature: 0.5,
      topK: 0,
      topP: 1,
      minP: 0.1,
      repetitionPenalty: 1,
      presencePenalty: 0,
      frequencyPenalty: 0,
      logitBias: { 5: -2 },
    });
    expect(generations[0]?.seed).toBe(2n ** 64n - 1n);
  });
});

import { describe, expect, it } from 'vitest';
import type { RunRequest } from '../../../../proto/messages.ts';
import { defaultEngineLimits } from '../../../../worker/engine/request/limits.ts';
import { checkRequest } from '../../../../worker/engine/request/request.ts';
import { runRequest } from './run-request.ts';

const model = { vocabSize: 100, eosTokenIds: [2, 3] };
const limits = { ...defaultEngineLimits, maxModelLen: 16, maxSequencesPerRequest: 4, maxLogprobs: 5 };
const check = (request: RunRequest) => checkRequest(request, model, limits);

describe('a request is refused', () => {
  const cases: readonly [string, RunRequest, string, RegExp][] = [
    ['without an id', runRequest('', [1]), 'request_id', /expected an id/],
    ['without a prompt', runRequest('a', []), 'prompt_token_ids', /at least one token, got none/],
    [
      'when its prompt fills the context',
      runRequest('a', new Array<number>(16).fill(1)),
      'prompt_token_ids',
      /16 prompt tokens leave no room for output: the context holds 16/,
    ],
    [
      'when its prompt exceeds the context, even without output',
      runRequest('a', new Array<number>(17).fill(1), { maxTokens: 0 }),
      'prompt_token_ids',
      /17 prompt tokens/,
    ],
    ['with a token outside the vocabulary', runRequest('a', [1, 100]), 'prompt_token_ids[1]', /below 100, got 100/],
    ['with too many sequences', runRequest('a', [1], {}, {}, { n: 5 }), 'n', /expected 1 to 4, got 5/],
    ['with stop texts', runRequest('a', [1], { stop: ['x'] }), 'limits.stop', /not for the engine/],
    [
      'with an unknown stop token',
      runRequest('a', [1], { stopTokenIds: [100] }),
      'limits.stop_token_ids[0]',
      /got 100/,
    ],
    ['with too many alternatives', runRequest('a', [1], { logprobs: 6 }), 'limits.logprobs', /expected 0 to 5, got 6/],
    [
      'with too many prompt alternatives',
      runRequest('a', [1], { promptLogprobs: 6 }),
      'limits.prompt_logprobs',
      /expected 0 to 5, got 6/,
    ],
    [
      'when only some sequences are resumed',
      runRequest('a', [1], {}, {}, { n: 2, outputTokenIds: [{ ids: [4] }] }),
      'output_token_ids',
      /expected 2 entries, one per sequence, got 1/,
    ],
    [
      'when a resumed sequence exceeds the context',
      runRequest('a', [1], {}, {}, { outputTokenIds: [{ ids: new Array<number>(16).fill(4) }] }),
      'output_token_ids[0].ids',
      /17 tokens, the context holds 16/,
    ],
    ['with a negative temperature', runRequest('a', [1], {}, { temperature: -1 }), 'sampling.temperature', /got -1/],
    [
      'with an infinite temperature',
      runRequest('a', [1], {}, { temperature: Infinity }),
      'sampling.temperature',
      /got Inf/,
    ],
    [
      'with a temperature that no f32 holds',
      runRequest('a', [1], {}, { temperature: 1e39 }),
      'sampling.temperature',
      /got 1e\+39/,
    ],
    ['with a top_p that is 0 in f32', runRequest('a', [1], {}, { topP: 1e-60 }), 'sampling.top_p', /got 1e-60/],
    ['with a NaN', runRequest('a', [1], {}, { minP: Number.NaN }), 'sampling.min_p', /got NaN/],
    ['with top_p 0', runRequest('a', [1], {}, { topP: 0 }), 'sampling.top_p', /at least 1e-30 and at most 1, got 0/],
    ['with min_p above 1', runRequest('a', [1], {}, { minP: 1.5 }), 'sampling.min_p', /at most 1, got 1.5/],
    [
      'with repetition_penalty 0',
      runRequest('a', [1], {}, { repetitionPenalty: 0 }),
      'sampling.repetition_penalty',
      /got 0/,
    ],
    ...(['temperature', 'presencePenalty', 'frequencyPenalty', 'repetitionPenalty'] as const).map(
      (name): (typeof cases)[number] => [
        `with a ${name} that would take logits out of f32`,
        runRequest('a', [1], {}, { [name]: 2e6 }),
        `sampling.${name.replace(/[A-Z]/, (letter) => `_${letter.toLowerCase()}`)}`,
        /at most 1000000, got 2000000/,
      ],
    ),
    [
      'with a repetition_penalty that would do so too',
      runRequest('a', [1], {}, { repetitionPenalty: 1e-7 }),
      'sampling.repetition_penalty',
      /at least 0.000001/,
    ],
    [
      'with a seed beyond 64 bits',
      runRequest('a', [1], {}, { seed: String(2n ** 64n) }),
      'sampling.seed',
      /got 18446744073709551616/,
    ],
    [
      'with bias for an unknown token',
      runRequest('a', [1], {}, { logitBias: { 100: 1 } }),
      'sampling.logit_bias',
      /got 100/,
    ],
    [
      'with infinite bias',
      runRequest('a', [1], {}, { logitBias: { 7: -Infinity } }),
      'sampling.logit_bias[7]',
      /got -Infinity/,
    ],
    [
      'when it is random without a seed',
      { ...runRequest('a', [1]), sampling: { temperature: 0.5, logitBias: {} } },
      'sampling.seed',
      /expected a seed with temperature 0.5/,
    ],
  ];
  it.each(cases)('%s', (_, request, field, message) => {
    expect(() => check(request)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT', field }));
    expect(() => check(request)).toThrow(message);
  });
});

describe('a request in the forms that steps use', () => {
  it('needs no sampling when it is greedy', () => {
    expect(check(runRequest('a', [1])).sampling).toBeNull();
    expect(check(runRequest('a', [1], {}, { topK: 5, topP: 0.5 })).sampling).toBeNull();
  });

  it('takes the wire’s defaults', () => {
    const { sampling, penalised } = check({ ...runRequest('a', [1]), sampling: { seed: '9', logitBias: { 7: -1 } } });
    expect(sampling).toEqual({
      temperature: 1,
      topK: 0,
      topP: 1,
      minP: 0,
      repetitionPenalty: 1,
      presencePenalty: 0,
      frequencyPenalty: 0,
      seed: 9n,
      biasTokens: Int32Array.of(7),
      biasValues: Float32Array.of(-1),
    });
    expect(penalised).toBe(false);
  });

  it.each([{ repetitionPenalty: 1.1 }, { presencePenalty: 0.5 }, { frequencyPenalty: -0.5 }])(
    'is penalised with %o',
    (sampling) => expect(check(runRequest('a', [1], {}, sampling)).penalised).toBe(true),
  );

  it('generates no more than the context leaves', () => {
    expect(check(runRequest('a', [1, 4], {})).maxTokens).toBe(14);
    expect(check(runRequest('a', [1, 4], { maxTokens: 100 })).maxTokens).toBe(14);
    expect(check(runRequest('a', [1, 4], { maxTokens: 3 })).maxTokens).toBe(3);
    expect(check(runRequest('a', new Array<number>(16).fill(1), { maxTokens: 0 })).maxTokens).toBe(0);
  });

  it('stops at the model’s tokens unless the request ignores them', () => {
    expect(check(runRequest('a', [1], { stopTokenIds: [9] })).stopTokens).toEqual(new Set([9, 2, 3]));
    expect(check(runRequest('a', [1], { stopTokenIds: [9], ignoreEos: true })).stopTokens).toEqual(new Set([9]));
  });

  it('has one sequence when it names no number', () => {
    expect(check(runRequest('a', [1], {}, {}, { n: 0 })).outputs).toEqual([[]]);
  });
});

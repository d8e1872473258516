import { describe, expect, it } from 'vitest';
import { planCompletion } from '../../../../controller/api/completions/completions.ts';
import { asSent, exactInteger, integer64, JsonBody } from '../../../../controller/api/fields/json-body.ts';
import { toServiceError } from '../../../../controller/errors.ts';
import { createInference, head } from './inference-fixture.ts';

const body = (text: string) => new JsonBody(JSON.parse(text), text);
const range = 'an integer from -9223372036854775808 to 18446744073709551615';

describe('a number in a request body', () => {
  it.each([
    ['{"seed": 9007199254740993}', 'seed', '9007199254740993'],
    ['{"a": "x\\"9007199254740993, {[\\\\", "seed":1e3 }', 'seed', '1e3'],
    ['{"seed": 1, "seed": 12345678901234567890}', 'seed', '12345678901234567890'],
    ['{"\\u0073eed": -1.5E-7}', 'seed', '-1.5E-7'],
    ['{"prompt": [[1, 2], [3, 9007199254740993]]}', 'prompt[1][1]', '9007199254740993'],
    ['{"prompt": [1, {"a": [2]}, 1e400]}', 'prompt[2]', '1e400'],
    ['{"logit_bias": {"1": 5, "7": 1e400}}', 'logit_bias.7', '1e400'],
    ['\uFEFF{"seed": 9007199254740993}', 'seed', '9007199254740993'],
    ['{"a": 1e3, "seed": "text"}', 'seed', null],
    ['{"a": 1e3}', 'seed', null],
    ['[1e3]', 'seed', null],
    ['1e3', 'seed', null],
    ['{"seed": 1.50}', 'seed', '1.50'],
  ])('%s at %s is known as it was sent', (text, path, expected) => {
    expect(new JsonBody(null, text).sentNumber(path)).toBe(expected);
  });

  it.each([
    ['0', 0n],
    ['-0', 0n],
    ['1e3', 1000n],
    ['1.50e1', 15n],
    ['100e-2', 1n],
    ['0.000e5', 0n],
    ['18446744073709551615', 2n ** 64n - 1n],
    ['1.8446744073709551615e19', 2n ** 64n - 1n],
    ['-9223372036854775808', -(2n ** 63n)],
    ['1.5', null],
    ['15e-1', null],
    ['1e999999999', null],
    ['1e-999999999', null],
    [`1${'0'.repeat(50)}`, null],
  ])('%s is the integer %s', (text, expected) => expect(exactInteger(text)).toBe(expected));
});

describe('a seed', () => {
  const seeds = [
    '0',
    '1',
    '-1',
    '9007199254740991',
    '9007199254740992',
    '9007199254740993',
    '9223372036854775807',
    '-9223372036854775808',
    '18446744073709551614',
  ];

  it('has all its digits, whatever the integer of 64 bits', async () => {
    const { inference } = await createInference();
    const plan = (seed: string) =>
      planCompletion(body(`{"prompt": "Hi", "seed": ${seed}}`), inference, head, new AbortController().signal);
    const read = await Promise.all(seeds.map(async (seed) => (await plan(seed)).generations[0]?.seed));
    expect(read).toEqual(seeds.map((seed) => BigInt.asUintN(64, BigInt(seed))));
    expect(new Set(read).size).toBe(seeds.length);
  });

  it.each([
    ['18446744073709551616', '18446744073709551616'],
    ['-9223372036854775809', '-9223372036854775809'],
    [`1${'0'.repeat(30)}`, `1${'0'.repeat(30)}`],
    ['1e30', '1e30'],
    ['1e400', '1e400'],
    ['9007199254740993.5', '9007199254740993.5'],
    ['1.5', '1.5'],
    ['"7"', '"7"'],
    ['true', 'true'],
  ])('%s is refused with its value and the bounds', (seed, got) => {
    const sent = body(`{"seed": ${seed}}`);
    const { seed: value } = sent.value as { seed: unknown };
    expect(() => integer64(sent, 'seed', value)).toThrow(`seed: expected ${range}, got ${got}`);
  });
});

describe('an error', () => {
  it.each([
    [
      '{"prompt": "Hi", "temperature": 1e400}',
      'temperature: expected a number of at least 0 and at most 1000000, got 1e400',
    ],
    ['{"prompt": [9007199254740993]}', 'prompt[0]: expected a token id from 0 to 263, got 9007199254740993'],
    [
      '{"prompt": "Hi", "stop_token_ids": [1, 9007199254740993]}',
      'stop_token_ids[1]: expected a token id from 0 to 263, got 9007199254740993',
    ],
    [
      '{"prompt": "Hi", "max_tokens": 9007199254740993}',
      'max_tokens: expected an integer of at least 0 and at most 9007199254740991, got 9007199254740993',
    ],
    [
      '{"prompt": "Hi", "logit_bias": {"5": 12345678901234567890}}',
      'logit_bias.5: expected a number of at least -100 and at most 100, got 12345678901234567890',
    ],
    ['{"prompt": "Hi", "top_p": 1.5}', 'top_p: expected a number of at least 0 and at most 1, got 1.5'],
  ])('of %s shows the number as it was sent', async (text, message) => {
    const { inference } = await createInference();
    const sent = body(text);
    const refused = await planCompletion(sent, inference, head, new AbortController().signal).then(
      () => null,
      (error: unknown) => asSent(toServiceError(error), sent).message,
    );
    expect(refused).toBe(message);
  });
});

import { describe, expect, test } from 'vitest';
import { resolveRopes } from '../../../../controller/model/config/rope.ts';
import { plainStyle } from '../../../../controller/model/families/family.ts';

/** Angles are kept in f32: half a unit in the last place is 2^-24 relative; the figures below have 12 digits. */
const tolerance = 2 ** -24 + 1e-11;

function resolve(file: Record<string, unknown>, headDim: number, defaults = {}) {
  const problems: string[] = [];
  const config = { rope_theta: 10_000, max_position_embeddings: 4096, ...defaults };
  const ropes = resolveRopes(file, { config, style: plainStyle }, headDim, (problem) => problems.push(problem));
  return { rope: ropes?.[0] ?? null, problems };
}

/** The figures were computed by other code, from the published definitions in wavelengths. */
describe.each([
  {
    name: 'default',
    keys: { rope_theta: 10_000, rope_type: 'default' },
    headDim: 16,
    factor: 1,
    maxPosition: 4096,
    expected: { 0: 1, 1: 0.316227766017, 2: 0.1, 3: 0.0316227766017, 7: 0.000316227766017 },
  },
  {
    name: 'linear',
    keys: { rope_theta: 10_000, rope_type: 'linear', factor: 4 },
    headDim: 16,
    factor: 1,
    maxPosition: 16_384,
    expected: { 0: 0.25, 1: 0.0790569415042, 4: 0.0025, 7: 7.90569415042e-5 },
  },
  {
    name: 'llama3, a short original context',
    keys: {
      rope_theta: 500_000,
      rope_type: 'llama3',
      factor: 8,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 16,
    },
    headDim: 16,
    factor: 1,
    maxPosition: 4096,
    expected: { 0: 0.576056401096, 1: 0.0242403430936, 2: 0.00470075386636, 7: 1.28917317215e-6 },
  },
  {
    name: 'llama3 as in Llama 3.1',
    keys: {
      rope_theta: 500_000,
      rope_type: 'llama3',
      factor: 8,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 8192,
    },
    headDim: 128,
    factor: 1,
    maxPosition: 4096,
    expected: {
      0: 1,
      20: 0.016560440081,
      28: 0.00321144599475,
      29: 0.0021665707635,
      30: 0.00137189356776,
      32: 0.000524846160993,
      34: 0.000178507812768,
      35: 9.55621235396e-5,
      36: 7.78465527393e-5,
      63: 3.06892598891e-7,
    },
  },
  {
    name: 'yarn as for Qwen3',
    keys: { rope_theta: 1e6, rope_type: 'yarn', factor: 4, original_max_position_embeddings: 32_768 },
    headDim: 128,
    factor: 1.1386294361,
    maxPosition: 131_072,
    expected: {
      0: 1,
      23: 0.0069783058486,
      24: 0.00537532149079,
      30: 0.00106436098125,
      35: 0.000246258406909,
      39: 6.49039432084e-5,
      40: 4.4456985251e-5,
      63: 3.10234440188e-7,
    },
  },
  {
    name: 'yarn without rounding of the range',
    keys: {
      rope_theta: 150_000,
      rope_type: 'yarn',
      factor: 32,
      original_max_position_embeddings: 4096,
      beta_fast: 32,
      beta_slow: 1,
      truncate: false,
    },
    headDim: 64,
    factor: 1.3465735903,
    maxPosition: 131_072,
    expected: {
      8: 0.0508132748155,
      9: 0.0317056961847,
      12: 0.00679495948973,
      16: 0.000456483919223,
      17: 0.000129318701245,
      18: 3.83088123738e-5,
      31: 3.02351142812e-7,
    },
  },
  {
    name: 'yarn with rounding of the range',
    keys: { rope_theta: 150_000, rope_type: 'yarn', factor: 32, original_max_position_embeddings: 4096 },
    headDim: 64,
    factor: 1.3465735903,
    maxPosition: 131_072,
    expected: { 9: 0.0316207522753, 12: 0.0070157139105, 16: 0.000580947501931, 17: 0.000227947795795 },
  },
])('$name', ({ keys, headDim, factor, maxPosition, expected }) => {
  const { rope_theta: theta, rope_type: type, ...scaling } = keys;

  test.each([
    ['rope_parameters', { rope_parameters: keys }],
    [
      'rope_theta and rope_scaling with rope_type',
      { rope_theta: theta, rope_scaling: { rope_type: type, ...scaling } },
    ],
    ['rope_theta and rope_scaling with type', { rope_theta: theta, rope_scaling: { type, ...scaling } }],
    ['both, agreeing', { rope_theta: theta, rope_scaling: { type, ...scaling }, rope_parameters: keys }],
  ])('given by %s', (_, file) => {
    const { rope, problems } = resolve(file, headDim);
    expect(problems).toEqual([]);
    expect(rope?.spec.inverseFrequencies).toHaveLength(headDim / 2);
    for (const [pair, frequency] of Object.entries(expected)) {
      const actual = rope!.spec.inverseFrequencies[Number(pair)]!;
      expect(Math.abs(actual / frequency - 1), `pair ${pair}: ${actual}`).toBeLessThan(tolerance);
    }
    expect(Math.abs(rope!.spec.attentionFactor / factor - 1)).toBeLessThan(tolerance);
    expect(rope?.spec).toMatchObject({ rotaryDim: headDim, layout: 'ROPE_LAYOUT_HALF' });
    expect(rope?.maxPosition).toBe(maxPosition);
  });
});

describe('yarn', () => {
  const yarn = { rope_type: 'yarn', original_max_position_embeddings: 4096 };

  test.each([
    [{ factor: 32 }, 1.3465736],
    [{ factor: 40 }, 1.3688879],
    [{ factor: 128 }, 1.485203],
    [{ factor: 16 }, 1.2772589],
    [{ factor: 4 }, 1.1386294],
    [{ factor: 1 }, 1],
    [{ factor: 0.5 }, 1],
    [{ factor: 40, attention_factor: 1.5 }, 1.5],
    [{ factor: 40, mscale: 0.75, mscale_all_dim: 0.75 }, 1],
    [{ factor: 40, mscale: 0.75, mscale_all_dim: 1 }, 0.932629996],
    [{ factor: 40, mscale: 0.75, mscale_all_dim: 0 }, 1.3688879],
    [{ factor: 40, mscale: 0.75 }, 1.3688879],
  ])('%j multiplies cosine and sine by %f', (keys, factor) => {
    const { rope } = resolve({ rope_parameters: { ...yarn, ...keys } }, 64);
    expect(rope?.spec.attentionFactor).toBeCloseTo(factor, 6);
  });

  test('stretches from the original context to max_position_embeddings where no factor is given', () => {
    const given = resolve({ rope_parameters: { ...yarn, factor: 8 } }, 64);
    const derived = resolve({ rope_parameters: yarn }, 64, { max_position_embeddings: 32_768 });
    expect(derived.rope?.spec).toEqual(given.rope?.spec);
    expect(derived.rope?.maxPosition).toBe(32_768);
  });
});

describe('where nothing is given', () => {
  test.each([{}, { rope_parameters: null, rope_scaling: null, rope_theta: null }])('%j: the family decides', (file) => {
    const { rope } = resolve(file, 4, { rope_theta: 1e6 });
    expect(rope?.spec.inverseFrequencies).toEqual([1, Math.fround(1e-3)]);
    expect(rope?.parameters).toEqual({ type: 'default', theta: 1e6, dims: 4 });
  });
});

const supported = 'supported: default, linear, llama3, yarn, dynamic, longrope, proportional, su';

test.each([
  [
    { rope_scaling: { type: 'dynamic', alpha: 0 } },
    'alpha of rope_type "dynamic" is 0: Too small: expected number to be >0',
  ],
  [
    {
      rope_parameters: {
        rope_type: 'longrope',
        short_factor: [1, 2],
        long_factor: [1, 2],
        original_max_position_embeddings: 8,
      },
    },
    'short_factor of rope_type "longrope" is [1,2]: expected 8 numbers, one for each pair of dimensions, got 2',
  ],
  [{ rope_parameters: { rope_type: 7 } }, `rope_type is 7; ${supported}`],
  [{ rope_scaling: { type: 'constructor' } }, `rope_type is "constructor"; ${supported}`],
  [{ rope_theta: '1e4' }, 'rope_theta is "1e4"; expected a number above 1'],
  [{ rope_theta: 1 }, 'rope_theta is 1; expected a number above 1'],
  [{ partial_rotary_factor: 0.5 }, 'partial_rotary_factor is 0.5; supported: 1'],
  [{ rope_parameters: { partial_rotary_factor: 0.25 } }, 'partial_rotary_factor is 0.25; supported: 1'],
  [{ rope_scaling: 'yarn' }, 'rope_scaling is "yarn"; expected one object of rope keys for all layers'],
  [
    { rope_parameters: { linear_attention: {}, sliding_attention: {} } },
    'rope_parameters is {"linear_attention":{},"sliding_attention":{}}; expected one object of rope keys for all layers',
  ],
  [{ rope_theta: 1e4, rope_parameters: { rope_theta: 2e4 } }, 'rope_theta is given as 20000 and as 10000'],
  [{ rope_scaling: { type: 'linear', rope_type: 'yarn', factor: 2 } }, 'rope_type is given as "yarn" and as "linear"'],
  [
    { rope_scaling: { type: 'linear' } },
    'factor of rope_type "linear" is undefined: Invalid input: expected number, received undefined',
  ],
  [
    { rope_scaling: { type: 'linear', factor: 0 } },
    'factor of rope_type "linear" is 0: Too small: expected number to be >0',
  ],
  [
    { rope_scaling: { type: 'linear', factor: 1e-300 } },
    'rope parameters {"factor":1e-300,"rope_type":"linear"} give angles or positions out of range',
  ],
  [
    { rope_scaling: { type: 'yarn', factor: 1e9 } },
    'rope parameters {"factor":1000000000,"rope_type":"yarn"} give angles or positions out of range',
  ],
])('%j is refused', (file, problem) => {
  expect(resolve(file, 16)).toEqual({ rope: null, problems: [problem] });
});

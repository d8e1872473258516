import { describe, expect, it } from 'vitest';
import { conclave, decode, encode } from '../../proto/messages.ts';
import { eachSamplingParameter, engineValue, samplingParameters } from '../../proto/sampling-parameters.ts';

describe('every sampling parameter', () => {
  it('has its field on the wire, which tells "not given" from its neutral value', () => {
    const given = eachSamplingParameter(({ engine }) => Math.fround(engine.max));
    const sent = decode(conclave.SamplingParams, encode(conclave.SamplingParams, given));
    const nothing = decode(conclave.SamplingParams, Buffer.alloc(0));
    expect(eachSamplingParameter((_, key) => sent[key] ?? Number.NaN)).toEqual(given);
    for (const key of Object.keys(samplingParameters)) expect(nothing).not.toHaveProperty(key);
  });

  it('has a neutral value that clients may send and the engine takes', () => {
    for (const { neutral, clients, engine } of Object.values(samplingParameters)) {
      for (const { min, max } of [clients, engine]) expect(neutral >= min && neutral <= max).toBe(true);
    }
  });

  it.each([
    [-1, 0],
    [0, 0],
    [7, 7],
    [Number.MAX_SAFE_INTEGER, 2 ** 31 - 1],
  ])('top_k %d means %d to the engine', (sent, meant) => {
    expect(engineValue(samplingParameters.topK, sent)).toBe(meant);
  });
});

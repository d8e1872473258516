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
    ['topK', -1, 0],
    ['topK', 0, 0],
    ['topK', 7, 7],
    ['topK', Number.MAX_SAFE_INTEGER, 2 ** 31 - 1],
    ['topP', 0, 1e-30],
    ['topP', 0.5, 0.5],
  ] as const)('%s %d means %d to the engine', (key, sent, meant) => {
    expect(engineValue(samplingParameters[key], sent)).toBe(meant);
  });
});

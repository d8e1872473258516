import type { NativeSampling } from '../../../native/native.ts';
import type { RunRequest } from '../../../proto/messages.ts';
import { eachSamplingParameter, logitBias, type Range } from '../../../proto/sampling-parameters.ts';
import { invalidArgument } from './errors.ts';

/** Wire to native, with the wire's defaults. Null: greedy without penalties or bias. Throws INVALID_ARGUMENT. */
export function toNativeSampling(params: RunRequest['sampling'], vocabSize: number): NativeSampling | null {
  const sampling = {
    ...eachSamplingParameter(({ name, neutral, engine, integer }, key) =>
      (integer ? whole : within)(name, params?.[key] ?? neutral, engine),
    ),
    seed: readSeed(params?.seed ?? '0'),
    ...toBias(params?.logitBias ?? {}, vocabSize),
  };
  if (sampling.temperature > 0 && params?.seed === undefined) {
    throw invalidArgument('sampling.seed', `expected a seed with temperature ${sampling.temperature}, got none`);
  }
  const plain =
    sampling.repetitionPenalty === 1 &&
    sampling.presencePenalty === 0 &&
    sampling.frequencyPenalty === 0 &&
    sampling.biasTokens.length === 0;
  return sampling.temperature === 0 && plain ? null : sampling;
}

function toBias(
  bias: Readonly<Record<number, number>>,
  vocabSize: number,
): Pick<NativeSampling, 'biasTokens' | 'biasValues'> {
  const entries = Object.entries(bias);
  for (const [key, value] of entries) {
    const token = Number(key);
    if (!Number.isInteger(token) || token < 0 || token >= vocabSize) {
      throw invalidArgument('sampling.logit_bias', `expected token ids below ${vocabSize}, got ${key}`);
    }
    within(`logit_bias[${key}]`, value, logitBias.engine);
  }
  return {
    biasTokens: Int32Array.from(entries, ([key]) => Number(key)),
    biasValues: Float32Array.from(entries, ([, value]) => value),
  };
}

/** The value as an f32, which is what is computed with; values that come over the wire are one already. */
function within(field: string, value: number, { min, max }: Range): number {
  const rounded = Math.fround(value);
  if (rounded >= Math.fround(min) && rounded <= max) return rounded;
  throw invalidArgument(`sampling.${field}`, `expected a number of at least ${min} and at most ${max}, got ${value}`);
}

/** The wire's decimal digits. */
function readSeed(digits: string): bigint {
  const seed = /^\d{1,20}$/.test(digits) ? BigInt(digits) : null;
  if (seed !== null && seed < 2n ** 64n) return seed;
  throw invalidArgument('sampling.seed', `expected an integer from 0 to ${2n ** 64n - 1n}, got ${digits.slice(0, 80)}`);
}

function whole(field: string, value: number, { min, max }: Range): number {
  if (Number.isSafeInteger(value) && value >= min && value <= max) return value;
  throw invalidArgument(`sampling.${field}`, `expected an integer from ${min} to ${max}, got ${value}`);
}

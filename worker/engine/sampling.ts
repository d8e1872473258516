import type { NativeSampling } from '../../native/native.ts';
import type { RunRequest } from '../../proto/messages.ts';
import { invalidArgument } from './errors.ts';

/** Within these, adjusted logits stay far from the ends of f32 whatever the model: one request cannot make a step fail. */
const largest = 1e6;
const smallest = 1e-6;

/** Wire to native, with the wire's defaults. Null: greedy without penalties or bias. Throws INVALID_ARGUMENT. */
export function toNativeSampling(params: RunRequest['sampling'], vocabSize: number): NativeSampling | null {
  const sampling = {
    temperature: within('temperature', params?.temperature ?? 1, 0, largest),
    topK: integer('top_k', params?.topK ?? 0, 2 ** 31 - 1),
    topP: within('top_p', params?.topP ?? 1, 1e-30, 1),
    minP: within('min_p', params?.minP ?? 0, 0, 1),
    repetitionPenalty: within('repetition_penalty', params?.repetitionPenalty ?? 1, smallest, largest),
    presencePenalty: within('presence_penalty', params?.presencePenalty ?? 0, -largest, largest),
    frequencyPenalty: within('frequency_penalty', params?.frequencyPenalty ?? 0, -largest, largest),
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
    within(`logit_bias[${key}]`, value, -largest, largest);
  }
  return {
    biasTokens: Int32Array.from(entries, ([key]) => Number(key)),
    biasValues: Float32Array.from(entries, ([, value]) => value),
  };
}

/** The value as an f32, which is what is computed with; values that come over the wire are one already. */
function within(field: string, value: number, least: number, most: number): number {
  const rounded = Math.fround(value);
  if (rounded >= Math.fround(least) && rounded <= most) return rounded;
  throw invalidArgument(
    `sampling.${field}`,
    `expected a number of at least ${least} and at most ${most}, got ${value}`,
  );
}

/** The wire's decimal digits. */
function readSeed(digits: string): bigint {
  const seed = /^\d{1,20}$/.test(digits) ? BigInt(digits) : null;
  if (seed !== null && seed < 2n ** 64n) return seed;
  throw invalidArgument('sampling.seed', `expected an integer from 0 to ${2n ** 64n - 1n}, got ${digits.slice(0, 80)}`);
}

function integer(field: string, value: number, most: number): number {
  if (Number.isSafeInteger(value) && value >= 0 && value <= most) return value;
  throw invalidArgument(`sampling.${field}`, `expected an integer from 0 to ${most}, got ${value}`);
}

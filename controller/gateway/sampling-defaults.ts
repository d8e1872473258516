/**
 * Sampling parameters that a checkpoint recommends in generation_config.json; requests override them one by one.
 */
import type { JsonObject } from './checkpoint-files.ts';

/** A complete set of sampling parameters but the seed. Meanings as in conclave.v1.SamplingParams. */
export interface SamplingDefaults {
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
  readonly repetitionPenalty: number;
  readonly presencePenalty: number;
  readonly frequencyPenalty: number;
}

export const neutralSampling: SamplingDefaults = {
  temperature: 1,
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
};

/** Values that make no sense are refused, naming the file and key. */
export function readSamplingDefaults(generationConfig: JsonObject): SamplingDefaults {
  const number = (key: string, fallback: number, fits: (value: number) => boolean): number => {
    const value = generationConfig[key] ?? fallback;
    if (typeof value === 'number' && fits(value)) return value;
    throw new Error(`generation_config.json: ${key}: ${JSON.stringify(value)} is not a usable value`);
  };
  return {
    ...neutralSampling,
    temperature: number('temperature', 1, (t) => t >= 0 && Number.isFinite(t)),
    topK: Math.max(0, number('top_k', 0, Number.isInteger)),
    topP: number('top_p', 1, (p) => p > 0 && p <= 1),
    minP: number('min_p', 0, (p) => p >= 0 && p <= 1),
    repetitionPenalty: number('repetition_penalty', 1, (p) => p > 0 && Number.isFinite(p)),
  };
}

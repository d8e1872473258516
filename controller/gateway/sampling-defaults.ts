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

/** Bounds of a number, both included. */
export interface Range {
  readonly min: number;
  readonly max: number;
}

/** What sampling parameters may be. Where OpenAI and vLLM name no bound, it is the engine's. */
export const samplingRanges = {
  temperature: { min: 0, max: 1e6 },
  topP: { min: 1e-30, max: 1 },
  minP: { min: 0, max: 1 },
  repetitionPenalty: { min: 1e-6, max: 1e6 },
  presencePenalty: { min: -2, max: 2 },
  frequencyPenalty: { min: -2, max: 2 },
  logitBias: { min: -100, max: 100 },
} satisfies Record<string, Range>;

/** Values that make no sense are refused, naming the file and key. */
export function readSamplingDefaults(generationConfig: JsonObject): SamplingDefaults {
  const number = (key: string, fallback: number, { min, max }: Range): number => {
    const value = generationConfig[key] ?? fallback;
    if (typeof value === 'number' && value >= min && value <= max) return value;
    throw new Error(`generation_config.json: ${key}: ${JSON.stringify(value)} is not between ${min} and ${max}`);
  };
  return {
    ...neutralSampling,
    temperature: number('temperature', 1, samplingRanges.temperature),
    topK: Math.max(0, Math.floor(number('top_k', 0, { min: -1, max: 2 ** 31 - 1 }))),
    topP: number('top_p', 1, samplingRanges.topP),
    minP: number('min_p', 0, samplingRanges.minP),
    repetitionPenalty: number('repetition_penalty', 1, samplingRanges.repetitionPenalty),
  };
}

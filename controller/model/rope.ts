/**
 * Rotary position embedding: every scaling rule is resolved here into one angle per pair and one factor.
 *
 * Pair i of a head of d elements turns by position * f_i, f_i = theta^(-2i/d), which linear, llama3 and yarn scaling bend
 * for long contexts.
 */
import { z } from 'zod';
import type { RopeSpec__Output as RopeSpec } from '../../proto/generated/conclave/v1/RopeSpec.ts';
import type { ModelConfig } from './config.ts';
import { isObject } from './json.ts';
import { quote } from './problems.ts';

export interface Rope {
  readonly spec: RopeSpec;
  /** Longest sequence that the scaling was made for, in tokens. */
  readonly maxPosition: number;
  /** What the angles were computed from. */
  readonly parameters: Readonly<Record<string, unknown>>;
}

const positive = z.number().positive();
const positiveOrNull = positive.nullish();

const scalings = {
  default: z.object({}),
  linear: z.object({ factor: positive }),
  llama3: z.object({
    factor: positive,
    low_freq_factor: positive,
    high_freq_factor: positive,
    original_max_position_embeddings: positive,
  }),
  yarn: z.object({
    factor: positiveOrNull,
    original_max_position_embeddings: positiveOrNull,
    attention_factor: positiveOrNull,
    beta_fast: positiveOrNull,
    beta_slow: positiveOrNull,
    mscale: z.number().nullish(),
    mscale_all_dim: z.number().nullish(),
    truncate: z.boolean().nullish(),
  }),
} as const;

type RopeType = keyof typeof scalings;
type Parameters = Readonly<Record<string, unknown>>;

/**
 * The rope of a configuration that gives `rope_parameters` (newer) or `rope_theta` and `rope_scaling` (older); reports
 * what is wrong and returns null.
 */
export function resolveRope(
  file: Parameters,
  config: Pick<ModelConfig, 'rope_theta' | 'max_position_embeddings'>,
  headDim: number,
  report: (problem: string) => void,
): Rope | null {
  const parameters = mergeKeys(file, report);
  if (parameters === null) return null;
  const theta = parameters['rope_theta'] ?? config.rope_theta;
  if (typeof theta !== 'number' || !(theta > 1)) {
    report(`rope_theta is ${quote(theta)}; expected a number above 1`);
    return null;
  }
  const partial = parameters['partial_rotary_factor'] ?? 1;
  if (partial !== 1) {
    report(`partial_rotary_factor is ${quote(partial)}; supported: 1`);
    return null;
  }
  const type = parameters['rope_type'] ?? parameters['type'] ?? 'default';
  if (!isRopeType(type)) {
    report(`rope type is ${quote(type)}; supported: ${Object.keys(scalings).join(', ')}`);
    return null;
  }
  const parsed = scalings[type].safeParse(parameters);
  if (!parsed.success) {
    for (const issue of parsed.error.issues) {
      const key = issue.path.join('.');
      report(`rope (${type}) ${key} is ${quote(parameters[key])}: ${issue.message}`);
    }
    return null;
  }
  return scale(type, parsed.data, theta, headDim, config.max_position_embeddings);
}

/** One object from the older and the newer keys; null when they contradict each other. */
function mergeKeys(file: Parameters, report: (problem: string) => void): Parameters | null {
  const merged: Record<string, unknown> = {};
  let consistent = true;
  for (const key of ['rope_parameters', 'rope_scaling']) {
    const value = file[key] ?? {};
    if (!isObject(value) || Object.values(value).some(isObject)) {
      report(`${key} is ${quote(value)}; expected one set of rope keys for all layers`);
      return null;
    }
    consistent = mergeInto(merged, value, report) && consistent;
  }
  const top = Object.fromEntries(
    ['rope_theta', 'partial_rotary_factor'].filter((key) => file[key] != null).map((key) => [key, file[key]]),
  );
  return mergeInto(merged, top, report) && consistent ? merged : null;
}

function mergeInto(merged: Record<string, unknown>, more: Parameters, report: (problem: string) => void): boolean {
  let consistent = true;
  for (const [given, value] of Object.entries(more)) {
    const key = given === 'type' ? 'rope_type' : given;
    if (value === null) continue;
    if (Object.hasOwn(merged, key) && quote(merged[key]) !== quote(value)) {
      report(`${key} is given as ${quote(merged[key])} and as ${quote(value)}`);
      consistent = false;
    }
    merged[key] = value;
  }
  return consistent;
}

function isRopeType(type: unknown): type is RopeType {
  return typeof type === 'string' && Object.hasOwn(scalings, type);
}

function scale(type: RopeType, parameters: Parameters, theta: number, headDim: number, maxPosition: number): Rope {
  const plain = Array.from({ length: headDim / 2 }, (_, i) => theta ** ((-2 * i) / headDim));
  const rope = (frequencies: readonly number[], attentionFactor: number, longest: number): Rope => ({
    spec: {
      inverseFrequencies: frequencies.map(Math.fround),
      attentionFactor: Math.fround(attentionFactor),
      rotaryDim: headDim,
      layout: 'ROPE_LAYOUT_HALF',
    },
    maxPosition: longest,
    parameters: { ...parameters, type, theta },
  });
  switch (type) {
    case 'default':
      return rope(plain, 1, maxPosition);
    case 'linear': {
      const { factor } = scalings.linear.parse(parameters);
      return rope(
        plain.map((f) => f / factor),
        1,
        maxPosition,
      );
    }
    case 'llama3':
      return rope(scaleLlama3(plain, scalings.llama3.parse(parameters)), 1, maxPosition);
    case 'yarn': {
      const yarn = scalings.yarn.parse(parameters);
      const original = yarn.original_max_position_embeddings ?? maxPosition;
      const factor = yarn.factor ?? maxPosition / original;
      return rope(
        scaleYarn(plain, theta, original, factor, yarn),
        yarnAttentionFactor(factor, yarn),
        Math.max(maxPosition, Math.round(original * factor)),
      );
    }
  }
}

/** Long waves are stretched by `factor`, short ones kept, those between interpolated. */
function scaleLlama3(plain: readonly number[], scaling: z.infer<typeof scalings.llama3>): number[] {
  const { factor, low_freq_factor: low, high_freq_factor: high, original_max_position_embeddings: original } = scaling;
  return plain.map((f) => {
    const turns = (original * f) / (2 * Math.PI);
    if (turns > high) return f;
    if (turns < low) return f / factor;
    const smooth = high === low ? 1 : (turns - low) / (high - low);
    return f * ((1 - smooth) / factor + smooth);
  });
}

/** Pairs that turn more than beta_fast times in the original context are kept, less than beta_slow times stretched. */
function scaleYarn(
  plain: readonly number[],
  theta: number,
  original: number,
  factor: number,
  scaling: z.infer<typeof scalings.yarn>,
): number[] {
  const dim = plain.length * 2;
  const pairThatTurns = (times: number) => (dim * Math.log(original / (times * 2 * Math.PI))) / (2 * Math.log(theta));
  const first = pairThatTurns(scaling.beta_fast ?? 32);
  const last = pairThatTurns(scaling.beta_slow ?? 1);
  const truncate = scaling.truncate ?? true;
  const low = Math.max(truncate ? Math.floor(first) : first, 0);
  const bound = Math.min(truncate ? Math.ceil(last) : last, dim - 1);
  const high = bound === low ? low + 0.001 : bound;
  return plain.map((f, i) => {
    const stretched = Math.min(Math.max((i - low) / (high - low), 0), 1);
    return (f / factor) * stretched + f * (1 - stretched);
  });
}

/** Yarn's factor on cosine and sine. */
function yarnAttentionFactor(factor: number, scaling: z.infer<typeof scalings.yarn>): number {
  const { attention_factor: given, mscale, mscale_all_dim: mscaleAllDim } = scaling;
  const grow = (multiplier: number) => (factor <= 1 ? 1 : 0.1 * multiplier * Math.log(factor) + 1);
  if (given != null) return given;
  return mscale && mscaleAllDim ? grow(mscale) / grow(mscaleAllDim) : grow(1);
}

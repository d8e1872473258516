/**
 * Rotary embedding's scaling rules. Pair i of a head of d elements turns by position * f_i, f_i = theta^(-2i/d); each rule
 * bends the f_i so that a model reaches further than it was trained for.
 */
import { z } from 'zod';

export interface RopeBase {
  readonly theta: number;
  /** f_i, [d / 2]. */
  readonly frequencies: readonly number[];
  /** The configuration's max_position_embeddings. */
  readonly maxPosition: number;
}

export interface ScaledRope {
  readonly frequencies: readonly number[];
  /** Multiplies cosine and sine. */
  readonly attentionFactor: number;
  /** Longest sequence that the scaling was made for, in tokens. */
  readonly maxPosition: number;
  /** The rule's own parameters. */
  readonly parameters: Readonly<Record<string, unknown>>;
}

/** A rule: checks its parameters (throws a ZodError) and applies itself. */
export type RopeScaling = (parameters: unknown, base: RopeBase) => ScaledRope;

const positive = z.number().positive();

/** theta^(-2i/d), [d / 2]. */
export function frequenciesOf(theta: number, dims: number): readonly number[] {
  return Array.from({ length: dims / 2 }, (_, i) => theta ** ((-2 * i) / dims));
}

function rule<Schema extends z.ZodObject>(
  schema: Schema,
  apply: (parameters: z.infer<Schema>, base: RopeBase) => Partial<ScaledRope>,
): RopeScaling {
  return (given, base) => {
    const parameters = schema.parse(given);
    return { ...base, attentionFactor: 1, ...apply(parameters, base), parameters };
  };
}

/** Angles as they are. */
const plain = rule(z.object({}), () => ({}));

/** All waves are stretched alike, and with them the context. */
const linear = rule(z.object({ factor: positive }), ({ factor }, { frequencies, maxPosition }) => ({
  frequencies: frequencies.map((f) => f / factor),
  maxPosition: Math.round(maxPosition * Math.max(factor, 1)),
}));

/** Waves that turn less than low_freq_factor times in the original context are stretched, more than high_freq_factor kept. */
const llama3 = rule(
  z.object({
    factor: positive,
    low_freq_factor: positive,
    high_freq_factor: positive,
    original_max_position_embeddings: positive,
  }),
  ({ factor, low_freq_factor: low, high_freq_factor: high, original_max_position_embeddings: original }, base) => ({
    frequencies: base.frequencies.map((f) => {
      const turns = (original * f) / (2 * Math.PI);
      if (turns > high) return f;
      if (turns < low) return f / factor;
      const kept = high === low ? 1 : (turns - low) / (high - low);
      return f * ((1 - kept) / factor + kept);
    }),
  }),
);

const yarnParameters = z.object({
  factor: positive.nullish(),
  original_max_position_embeddings: positive.nullish(),
  attention_factor: positive.nullish(),
  beta_fast: positive.nullish(),
  beta_slow: positive.nullish(),
  mscale: z.number().min(0).nullish(),
  mscale_all_dim: z.number().min(0).nullish(),
  truncate: z.boolean().nullish(),
});

/** Pairs that turn more than beta_fast times in the original context are kept, less than beta_slow times stretched. */
const yarn = rule(yarnParameters, (parameters, { theta, frequencies, maxPosition }) => {
  const original = parameters.original_max_position_embeddings ?? maxPosition;
  const factor = parameters.factor ?? maxPosition / original;
  const dim = frequencies.length * 2;
  const pairThatTurns = (times: number) => (dim * Math.log(original / (times * 2 * Math.PI))) / (2 * Math.log(theta));
  const first = pairThatTurns(parameters.beta_fast ?? 32);
  const last = pairThatTurns(parameters.beta_slow ?? 1);
  const truncate = parameters.truncate ?? true;
  const low = Math.max(truncate ? Math.floor(first) : first, 0);
  const bound = Math.min(truncate ? Math.ceil(last) : last, dim - 1);
  const high = bound === low ? low + 0.001 : bound;
  return {
    frequencies: frequencies.map((f, i) => {
      const stretched = Math.min(Math.max((i - low) / (high - low), 0), 1);
      return (f / factor) * stretched + f * (1 - stretched);
    }),
    attentionFactor: yarnAttentionFactor(factor, parameters),
    maxPosition: Math.max(maxPosition, Math.round(original * factor)),
  };
});

/** 0.1 m ln(factor) + 1, where m is 1, or the quotient of two such terms where both multipliers are given. */
function yarnAttentionFactor(factor: number, parameters: z.infer<typeof yarnParameters>): number {
  const { attention_factor: given, mscale, mscale_all_dim: mscaleAllDim } = parameters;
  const grow = (multiplier: number) => (factor <= 1 ? 1 : 0.1 * multiplier * Math.log(factor) + 1);
  if (given != null) return given;
  return mscale && mscaleAllDim ? grow(mscale) / grow(mscaleAllDim) : grow(1);
}

/**
 * A fixed alpha bends theta, whatever the sequence's length. Without one, theta would follow the length beyond what the model
 * was made for: sequences end there.
 */
const dynamic = rule(z.object({ alpha: positive.nullish() }), ({ alpha }, { theta, frequencies }) => {
  if (alpha == null) return {};
  const dims = frequencies.length * 2;
  return { frequencies: frequenciesOf(theta * alpha ** (dims / (dims - 2)), dims) };
});

const longropeParameters = z.object({
  short_factor: z.array(positive),
  long_factor: z.array(positive),
  original_max_position_embeddings: positive,
  short_mscale: positive.nullish(),
  long_mscale: positive.nullish(),
  factor: positive.nullish(),
  attention_factor: positive.nullish(),
});

/**
 * Each wave has a factor of its own, and other ones beyond the original context. Keys that are cached were rotated by the
 * ones before, so a sequence ends there.
 */
const longrope = rule(longropeParameters, (parameters, { frequencies, maxPosition }) => {
  const { short_factor: factors, original_max_position_embeddings: original, short_mscale: mscale } = parameters;
  if (factors.length !== frequencies.length) {
    const message = `expected ${frequencies.length} numbers, one for each pair of dimensions, got ${factors.length}`;
    throw new z.ZodError([{ code: 'custom', path: ['short_factor'], message, input: factors }]);
  }
  const factor = parameters.factor ?? maxPosition / original;
  const grown = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(original));
  return {
    frequencies: frequencies.map((f, i) => f / (factors[i] ?? 1)),
    attentionFactor: mscale ?? parameters.attention_factor ?? grown,
    maxPosition: Math.min(original, maxPosition),
  };
});

/** The first pairs turn, as those of a head that turns whole. */
const proportional = rule(
  z.object({ partial_rotary_factor: z.number().min(0).max(1).nullish() }),
  ({ partial_rotary_factor: part }, { frequencies }) => {
    const turning = Math.floor((part ?? 1) * frequencies.length);
    return { frequencies: frequencies.map((f, i) => (i < turning ? f : 0)) };
  },
);

/** The rules by `rope_type`. */
export const ropeScalings: ReadonlyMap<unknown, RopeScaling> = new Map([
  ['default', plain],
  ['linear', linear],
  ['llama3', llama3],
  ['yarn', yarn],
  ['dynamic', dynamic],
  ['longrope', longrope],
  ['proportional', proportional],
  // As older files call it.
  ['su', longrope],
]);

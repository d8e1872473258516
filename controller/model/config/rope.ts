/** The rotary keys of a configuration, older or newer, resolved into one angle per pair and one factor. */
import { z } from 'zod';
import type { RopeSpec__Output as RopeSpec } from '../../../proto/generated/conclave/v1/RopeSpec.ts';
import type { ModelConfig } from './config.ts';
import { isObject } from './json.ts';
import { quote } from './problems.ts';
import { frequenciesOf, ropeScalings } from './rope-scaling.ts';

export type RopeLayout = 'half' | 'interleaved';

const layouts = { half: 'ROPE_LAYOUT_HALF', interleaved: 'ROPE_LAYOUT_INTERLEAVED' } as const;

/** One of a model's ropes. */
export interface RopeVariant {
  /** Its key in a `rope_parameters` that has an object for each type of layer. */
  readonly name: string;
  /** Where the configuration has no such objects: base, and no scaling; null: what its rope keys say. */
  readonly theta: number | null;
  /** Absent: the family's. */
  readonly layout?: RopeLayout;
  /** Elements of the heads that it rotates; absent: of a head. */
  readonly headDim?: number;
}

/** What of a family its ropes depend on. */
interface RopeUser {
  readonly config: Pick<ModelConfig, 'rope_theta' | 'max_position_embeddings'> &
    Partial<Pick<ModelConfig, 'qk_nope_head_dim' | 'qk_rope_head_dim'>>;
  readonly style: {
    readonly ropeLayout: RopeLayout;
    readonly partialRotary: number | null;
    /** In the order in which operators index them. */
    readonly ropes: readonly RopeVariant[];
  };
}

export interface Rope {
  readonly spec: RopeSpec;
  /** Longest sequence that the model was made for, in tokens. */
  readonly maxPosition: number;
  /** What the angles were computed from. */
  readonly parameters: Readonly<Record<string, unknown>>;
}

type Keys = Readonly<Record<string, unknown>>;

/**
 * The ropes of a configuration that gives `rope_parameters` (newer) or `rope_theta` and `rope_scaling` (older); reports
 * what is wrong and returns null.
 */
export function resolveRopes(
  file: Keys,
  user: RopeUser,
  headDim: number,
  report: (problem: string) => void,
): readonly Rope[] | null {
  const ropes = user.style.ropes.map((variant) => {
    const keys = keysOf(file, variant, report);
    const own = { ...user.style, ropeLayout: variant.layout ?? user.style.ropeLayout };
    return keys && resolveRope(keys, { ...user, style: own }, variant.headDim ?? headDim, report);
  });
  return ropes.some((rope) => rope === null) ? null : ropes.flatMap((rope) => rope ?? []);
}

/** The keys of one of the ropes. */
function keysOf(file: Keys, { name, theta }: RopeVariant, report: (problem: string) => void): Keys | null {
  const { rope_parameters: parameters, ...others } = file;
  const own = isObject(parameters) ? parameters[name] : undefined;
  if (isObject(own)) return mergeKeys({ rope_parameters: own }, report);
  if (theta !== null) return { rope_theta: theta };
  return mergeKeys({ ...others, rope_parameters: parameters }, report);
}

function resolveRope(
  keys: Keys,
  { config, style }: RopeUser,
  headDim: number,
  report: (problem: string) => void,
): Rope | null {
  const { rope_type: type = 'default', rope_theta: theta = config.rope_theta } = keys;
  const scaling = ropeScalings.get(type);
  const types = [...ropeScalings.keys()].join(', ');
  if (scaling === undefined) report(`rope_type is ${quote(type)}; supported: ${types}`);
  const own = withoutPart(keys, config);
  // The part of these that turns is the rule's own matter.
  const dims = type === 'proportional' ? headDim : rotaryDim(own, style.partialRotary, headDim, report);
  if (typeof theta !== 'number' || !(theta > 1)) report(`rope_theta is ${quote(theta)}; expected a number above 1`);
  else if (scaling !== undefined && dims !== null) {
    try {
      const base = { theta, frequencies: frequenciesOf(theta, dims), maxPosition: config.max_position_embeddings };
      const scaled = scaling(keys, base);
      const spec: RopeSpec = {
        inverseFrequencies: scaled.frequencies.map(Math.fround),
        attentionFactor: Math.fround(scaled.attentionFactor),
        rotaryDim: dims,
        layout: layouts[style.ropeLayout],
      };
      const inRange = [...spec.inverseFrequencies, spec.attentionFactor].every(Number.isFinite);
      if (inRange && scaled.maxPosition <= 0x7fffffff) {
        return { spec, maxPosition: scaled.maxPosition, parameters: { type, theta, dims, ...scaled.parameters } };
      }
      report(`rope parameters ${quote(keys)} give angles or positions out of range`);
    } catch (error) {
      if (!(error instanceof z.ZodError)) throw error;
      for (const { path, message } of error.issues) {
        report(`${path.join('.')} of rope_type ${quote(type)} is ${quote(keys[String(path[0])])}: ${message}`);
      }
    }
  }
  return null;
}

/** Over latents `headDim` is what rotates already, and the key may say which part of a head that is. */
function withoutPart(keys: Keys, { qk_nope_head_dim: plain, qk_rope_head_dim: rotary }: RopeUser['config']): Keys {
  const { partial_rotary_factor: part, ...others } = keys;
  if (plain === undefined || rotary === undefined || typeof part !== 'number') return keys;
  return Math.abs(part * (plain + rotary) - rotary) < 1e-3 ? others : keys;
}

/** Dimensions of a head that rotate; reports what is wrong and returns null. */
function rotaryDim(
  keys: Keys,
  partial: number | null,
  headDim: number,
  report: (problem: string) => void,
): number | null {
  const { partial_rotary_factor: part = partial ?? 1, rotary_dim: given } = keys;
  if (partial === null && part !== 1) {
    report(`partial_rotary_factor is ${quote(part)}; supported: 1`);
    return null;
  }
  if (typeof part !== 'number' || !(part > 0 && part <= 1)) {
    report(`partial_rotary_factor is ${quote(part)}; expected a number above 0, up to 1`);
    return null;
  }
  const dims = keys['partial_rotary_factor'] === undefined && given !== undefined ? given : Math.floor(headDim * part);
  if (typeof dims === 'number' && Number.isInteger(dims) && dims >= 2 && dims <= headDim && dims % 2 === 0) return dims;
  report(`${quote(dims)} dimensions of a head rotate; expected an even number up to its ${headDim}`);
  return null;
}

/** One object from the older and the newer keys, `type` as `rope_type`; reports contradictions and returns null. */
function mergeKeys(file: Keys, report: (problem: string) => void): Keys | null {
  const groups: Keys[] = [];
  for (const key of ['rope_parameters', 'rope_scaling']) {
    const group = file[key] ?? {};
    if (!isObject(group) || Object.values(group).some(isObject)) {
      report(`${key} is ${quote(group)}; expected one object of rope keys for all layers`);
      return null;
    }
    const { type, ...others } = group;
    groups.push(others, { rope_type: type });
  }
  const { rope_theta, partial_rotary_factor, rotary_dim, original_max_position_embeddings } = file;
  groups.push({ rope_theta, partial_rotary_factor, rotary_dim, original_max_position_embeddings });

  const merged = new Map<string, unknown>();
  let consistent = true;
  for (const [key, value] of groups.flatMap((group) => Object.entries(group))) {
    if (value == null) continue;
    if (merged.has(key) && quote(merged.get(key)) !== quote(value)) {
      report(`${key} is given as ${quote(merged.get(key))} and as ${quote(value)}`);
      consistent = false;
    }
    merged.set(key, value);
  }
  return consistent ? Object.fromEntries(merged) : null;
}

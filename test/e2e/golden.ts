import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './server.ts';

/** What an independent f32 implementation computes for one prompt. */
export interface Golden {
  /** [T]. */
  readonly prompt: readonly number[];
  /** Log-probability of prompt[p] given prompt[0 … p-1], for p from 1. */
  readonly promptLogprobs: readonly number[];
  /** Likeliest token after each position of the prompt and the continuation but the last, [T + 19]. */
  readonly likeliest: readonly number[];
  /** By how much the likeliest token leads the second, in standard deviations of the position's logits, [T + 19]. */
  readonly leads: readonly number[];
  /** Standard deviation of each position's logits, [T + 19]. */
  readonly spreads: readonly number[];
  /** Greedy, [20]. */
  readonly continuation: readonly number[];
  /** Log-probabilities of the continuation, [20]. */
  readonly continuationLogprobs: readonly number[];
}

/** The checkpoint folder of a family. */
export function goldenFolder(family: string): string {
  return family.startsWith('/') ? family : join(root, 'test/fixtures/golden', family);
}

/** The golden results of a family, one per prompt. */
export function readGoldens(family: string): readonly Golden[] {
  const values = readTensors(join(goldenFolder(family), 'golden.safetensors'));
  return [0, 1, 2].map((index) => {
    const prompt = values(`prompt_${index}`);
    const logprobs = values(`logprobs_${index}`);
    return {
      prompt,
      promptLogprobs: logprobs.slice(0, prompt.length - 1),
      likeliest: values(`likeliest_${index}`),
      leads: values(`leads_${index}`),
      spreads: values(`spreads_${index}`),
      continuation: values(`continuation_${index}`),
      continuationLogprobs: logprobs.slice(prompt.length - 1),
    };
  });
}

/**
 * The largest error that rounding may make in a logit, as a root mean square over a text, in standard deviations of the
 * position's logits. bf16 errs by up to 2^-9 at each of some 16 roundings, 0.005 in all, which softmaxes and products of
 * these small models amplify: 0.004 to 0.027 were measured, least where only the cache is rounded, most where activations are
 * too. int8 rounds in groups of 32, two of which are a row here: 0.035 to 0.065.
 */
export const largestNoise = { bf16: 0.05, q8: 0.13 } as const;

/** Root mean square of the errors of the first `count` log-probabilities of a text's next tokens, in the same unit. */
export function noiseOf(golden: Golden, logprobs: readonly number[], count: number): number {
  const { promptLogprobs, continuationLogprobs, spreads } = golden;
  const errors = [...promptLogprobs, ...continuationLogprobs]
    .slice(0, Math.min(count, logprobs.length))
    .map((value, at) => ((logprobs[at] ?? Number.NaN) - value) / (spreads[at] ?? Number.NaN));
  return Math.sqrt(errors.reduce((sum, error) => sum + error ** 2, 0) / Math.max(1, errors.length));
}

/**
 * Positions whose likeliest token no rounding can change, on any processor: it leads by three times the largest error of a
 * difference of two logits, which is sqrt(2) times that of each. That is six times the errors that were measured.
 */
export function decidedPositions({ leads }: Golden, weights: 'bf16' | 'q8'): readonly number[] {
  const least = 3 * Math.SQRT2 * largestNoise[weights];
  return [...leads.keys()].filter((position) => (leads[position] ?? 0) > least);
}

function readTensors(path: string): (name: string) => readonly number[] {
  const file = readFileSync(path);
  const headerEnd = 8 + Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.toString('utf8', 8, headerEnd)) as Record<
    string,
    { dtype: 'F32' | 'I32'; data_offsets: readonly [number, number] }
  >;
  return (name) => {
    const entry = header[name];
    if (entry === undefined) throw new Error(`${path} has no ${name}: test/fixtures/summarise.py makes it of logits`);
    const bytes = file.subarray(headerEnd + entry.data_offsets[0], headerEnd + entry.data_offsets[1]);
    const copy = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
    return [...(entry.dtype === 'F32' ? new Float32Array(copy) : new Int32Array(copy))];
  };
}

import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { loadNative } from '../../native/load.ts';
import { root } from './server.ts';

/** What an independent f32 implementation computes for one prompt. */
export interface Golden {
  /** [T]. */
  readonly prompt: readonly number[];
  /** Log-probability of prompt[p] given prompt[0 … p-1], for p from 1. */
  readonly promptLogprobs: readonly number[];
  /** Likeliest token after each position of the prompt and the continuation but the last, [T + 19]. */
  readonly likeliest: readonly number[];
  /** The same, with the tokens that bf16 cannot tell from it, [T + 19]. */
  readonly best: readonly ReadonlySet<number>[];
  /** Greedy, [20]. */
  readonly continuation: readonly number[];
  /** Log-probabilities of the continuation, [20]. */
  readonly continuationLogprobs: readonly number[];
}

/** The checkpoint folder of a family. */
export function goldenFolder(family: string): string {
  return join(root, 'test/fixtures/golden', family);
}

/** The golden results of a family, one per prompt. */
export function readGoldens(family: string): readonly Golden[] {
  const tensor = readTensors(join(goldenFolder(family), 'golden.safetensors'));
  return [0, 1, 2].map((index) => {
    const prompt = tensor(`prompt_${index}`).values;
    const logits = rowsOf(tensor(`logits_${index}`));
    const continuation = tensor(`continuation_${index}`).values;
    const continuationLogits = rowsOf(tensor(`continuation_logits_${index}`));
    // The continuation's first logits are those after the prompt's last position.
    const all = [...logits, ...continuationLogits.slice(1)];
    return {
      prompt,
      promptLogprobs: prompt.slice(1).map((token, position) => logprob(logits[position] ?? [], token)),
      likeliest: all.map((row) => row.indexOf(Math.max(...row))),
      best: all.map(bestTokens),
      continuation,
      continuationLogprobs: continuation.map((token, position) => logprob(continuationLogits[position] ?? [], token)),
    };
  });
}

/**
 * Whether `--weights bf16` rounds activations on the best instruction set here: AMD's processors multiply bf16 pairs faster
 * than f32. Elsewhere only the cache is rounded, as the checkpoints hold bf16.
 */
export const roundsActivations =
  /AMD/.test(cpus()[0]?.model ?? '') && loadNative().hardware().extensions.includes('avx512_bf16');

/**
 * At how many positions the likeliest token that was found is the reference's. Where activations are rounded, either of
 * two tokens within one bf16 step may come out.
 */
export function agreements(golden: Golden, found: readonly number[], rounded: boolean): number {
  return golden.likeliest.filter((token, position) => {
    const got = found[position] ?? -1;
    return got === token || (rounded && golden.best[position]?.has(got) === true);
  }).length;
}

interface Tensor {
  readonly shape: readonly number[];
  readonly values: readonly number[];
}

function readTensors(path: string): (name: string) => Tensor {
  const file = readFileSync(path);
  const headerEnd = 8 + Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.toString('utf8', 8, headerEnd)) as Record<
    string,
    { dtype: 'F32' | 'I32'; shape: readonly number[]; data_offsets: readonly [number, number] }
  >;
  return (name) => {
    const entry = header[name];
    if (entry === undefined) throw new Error(`${path} has no ${name}`);
    const bytes = file.subarray(headerEnd + entry.data_offsets[0], headerEnd + entry.data_offsets[1]);
    const copy = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
    return { shape: entry.shape, values: [...(entry.dtype === 'F32' ? new Float32Array(copy) : new Int32Array(copy))] };
  };
}

function rowsOf({ shape, values }: Tensor): readonly (readonly number[])[] {
  const width = shape[1] ?? 1;
  return Array.from({ length: shape[0] ?? 0 }, (_, row) => values.slice(row * width, (row + 1) * width));
}

/**
 * Tokens whose logits are within one bf16 step of the highest. bf16 has 8 significant bits, so around x the step is
 * 2^(floor(log2 |x|) - 7): 0.125 from 16 to 32.
 */
function bestTokens(logits: readonly number[]): ReadonlySet<number> {
  const most = Math.max(...logits);
  const step = 2 ** (Math.floor(Math.log2(Math.abs(most))) - 7);
  return new Set(logits.flatMap((logit, token) => (most - logit <= step ? token : [])));
}

/** log_softmax(logits)[token]. */
function logprob(logits: readonly number[], token: number): number {
  const most = Math.max(...logits);
  const sum = logits.reduce((total, logit) => total + Math.exp(logit - most), 0);
  return (logits[token] ?? Number.NaN) - most - Math.log(sum);
}

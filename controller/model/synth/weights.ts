/**
 * Random bf16 weights by counter: element i of a tensor is a pure function of (seed, tensor name, i), so that a tensor can
 * be made in any order, in any pieces, on any machine.
 *
 * A 32-bit hash of (i / 2, key) gives two 16-bit numbers; a table turns each into a bf16 value that is uniform in
 * mean ± sqrt(3) deviation, which has the standard deviation `deviation`.
 */
import { createHash } from 'node:crypto';

const levels = 65_536;

/** Mean and standard deviation of a tensor's elements. */
export interface Distribution {
  readonly mean: number;
  readonly deviation: number;
}

/**
 * How a tensor's elements are spread: matrices keep the variance of what they are applied to, so that activations stay
 * finite and gates spread their rows; the embedding has variance 1; norms stay near 1.
 */
export function distributionOf(name: string, shape: readonly number[]): Distribution {
  const [rows = 1, columns] = shape;
  if (name.endsWith('.bias')) return { mean: 0, deviation: 0.02 };
  if (columns === undefined) return { mean: 1, deviation: 0.05 };
  if (name.includes('embed_tokens')) return { mean: 0, deviation: 1 };
  return { mean: 0, deviation: 1 / Math.sqrt(rows === 1 ? rows * columns : columns) };
}

/** Makes the elements of tensors, for one seed. */
export class WeightGenerator {
  readonly #seed: number;
  readonly #tables = new Map<string, Uint16Array>();

  constructor(seed: number) {
    this.#seed = seed;
  }

  /** A function that fills `out` with the elements of a tensor from `first` on; `first` is even. */
  tensor(name: string, shape: readonly number[]): (out: Uint16Array, first: number) => void {
    const digest = createHash('sha256').update(`${this.#seed}\n${name}`).digest();
    const key1 = digest.readInt32LE(0);
    const key2 = digest.readInt32LE(4);
    const table = this.#table(distributionOf(name, shape));
    return (out, first) => fill(out, first, key1, key2, table);
  }

  /** The bf16 value of each 16-bit number. */
  #table({ mean, deviation }: Distribution): Uint16Array {
    const key = `${mean} ${deviation}`;
    const known = this.#tables.get(key);
    if (known !== undefined) return known;
    const step = (2 * Math.sqrt(3) * deviation) / (levels - 1);
    const table = Uint16Array.from({ length: levels }, (_, i) => toBf16(mean + (i - (levels - 1) / 2) * step));
    this.#tables.set(key, table);
    return table;
  }
}

/** The hot loop: about 1 GB/s. */
function fill(out: Uint16Array, first: number, key1: number, key2: number, table: Uint16Array): void {
  const firstPair = (first / 2) | 0;
  for (let i = 0; 2 * i < out.length; i++) {
    let hash = Math.imul((firstPair + i) ^ key1, 0x85ebca6b);
    hash = Math.imul((hash ^ (hash >>> 15)) + key2, 0xc2b2ae35);
    hash = Math.imul(hash ^ (hash >>> 13), 0x27d4eb2f);
    hash ^= hash >>> 16;
    out[2 * i] = table[hash & 0xffff] as number;
    out[2 * i + 1] = table[hash >>> 16] as number;
  }
}

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** Rounds to the nearest bf16, ties to even. */
function toBf16(value: number): number {
  float[0] = value;
  const [word = 0] = bits;
  return (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
}

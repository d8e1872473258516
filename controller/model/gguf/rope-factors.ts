/** What GGUF files say of ropes in tensors. */
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import type { RopeSpec__Output as RopeSpec } from '../../../proto/generated/conclave/v1/RopeSpec.ts';
import type { Checkpoint } from '../checkpoint/checkpoint.ts';
import type { Problems } from '../config/problems.ts';

/** Divides the rope's frequencies: how converters store llama3's scaling, and which pairs do not turn. */
const divisors = 'rope_freqs.weight';
/** Divisors from this one on are of pairs that do not turn. */
const still = 1e30;
/** Those of longrope, within the original context and beyond. */
const factors = { short_factor: 'rope_factors_short.weight', long_factor: 'rope_factors_long.weight' } as const;

/** Tensors that are no weights. */
export const ropeTensors: ReadonlySet<string> = new Set([divisors, ...Object.values(factors)]);

/** The ropes with their frequencies divided; where there are several, those of as many pairs as the tensor has. */
export async function divideRopes(
  ropes: readonly RopeSpec[],
  checkpoint: Checkpoint,
  directory: string,
  problems: Problems,
): Promise<readonly RopeSpec[]> {
  if (!checkpoint.tensors.has(divisors)) return ropes;
  const values = await readVector(divisors, checkpoint, directory, problems);
  const divides = ({ inverseFrequencies }: RopeSpec) => inverseFrequencies.length === values.length;
  if (!ropes.some(divides)) {
    const pairs = ropes.map(({ inverseFrequencies }) => inverseFrequencies.length);
    problems.add(
      `tensor ${divisors} has ${values.length} elements; expected ${pairs.join(' or ')}, the pairs of a rope`,
    );
  }
  return ropes.map((rope) => {
    if (!divides(rope)) return rope;
    const divided = rope.inverseFrequencies.map((frequency, i) =>
      (values[i] ?? 1) < still ? Math.fround(frequency / (values[i] ?? 1)) : 0,
    );
    return { ...rope, inverseFrequencies: divided };
  });
}

/** The factors of longrope as config.json has them; null: the file has none. */
export async function readLongrope(
  checkpoint: Checkpoint,
  directory: string,
  problems: Problems,
): Promise<Readonly<Record<keyof typeof factors, readonly number[]>> | null> {
  if (!checkpoint.tensors.has(factors.short_factor)) return null;
  return {
    short_factor: await readVector(factors.short_factor, checkpoint, directory, problems),
    long_factor: await readVector(factors.long_factor, checkpoint, directory, problems),
  };
}

/** The elements of a tensor; reports what is wrong with it. */
async function readVector(
  name: string,
  { tensors, files }: Checkpoint,
  directory: string,
  problems: Problems,
): Promise<readonly number[]> {
  const tensor = tensors.get(name);
  const file = files[tensor?.file ?? -1];
  if (tensor?.dtype !== 'F32' || tensor.shape.length !== 1 || file === undefined) {
    problems.add(
      `tensor ${name} is ${tensor?.dtype ?? 'missing'} [${tensor?.shape.join() ?? ''}]; expected a vector in F32`,
    );
    return [];
  }
  const bytes = Buffer.alloc(tensor.bytes);
  const handle = await open(join(directory, file.path), 'r');
  try {
    await handle.read(bytes, 0, bytes.length, tensor.offset);
  } finally {
    await handle.close();
  }
  return Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(4 * i));
}

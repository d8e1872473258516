import { open } from 'node:fs/promises';
import { join } from 'node:path';
import type { RopeSpec__Output as RopeSpec } from '../../../proto/generated/conclave/v1/RopeSpec.ts';
import type { Checkpoint } from '../checkpoint/checkpoint.ts';
import type { Problems } from '../config/problems.ts';

/** A tensor that divides the rope's frequencies: how converters store llama3's scaling. */
export const ropeFactors = 'rope_freqs.weight';

/** The ropes with their frequencies divided. */
export async function divideRopes(
  ropes: readonly RopeSpec[],
  checkpoint: Checkpoint,
  directory: string,
  problems: Problems,
): Promise<readonly RopeSpec[]> {
  const tensor = checkpoint.tensors.get(ropeFactors);
  if (tensor === undefined) return ropes;
  const pairs = ropes[0]?.inverseFrequencies.length ?? 0;
  const file = checkpoint.files[tensor.file];
  if (tensor.dtype !== 'F32' || tensor.shape.length !== 1 || tensor.shape[0] !== pairs || file === undefined) {
    problems.add(`tensor ${ropeFactors} is ${tensor.dtype} [${tensor.shape.join()}]; expected F32 [${pairs}]`);
    return ropes;
  }
  const bytes = Buffer.alloc(tensor.bytes);
  const handle = await open(join(directory, file.path), 'r');
  try {
    await handle.read(bytes, 0, bytes.length, tensor.offset);
  } finally {
    await handle.close();
  }
  return ropes.map((rope) => ({
    ...rope,
    inverseFrequencies: rope.inverseFrequencies.map((frequency, i) =>
      Math.fround(frequency / bytes.readFloatLE(4 * i)),
    ),
  }));
}

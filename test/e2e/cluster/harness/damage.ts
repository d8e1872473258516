import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { compileModel } from '../../../../controller/model/compile.ts';
import { modelWeights } from '../../../../proto/model/weights.ts';

/** Flips one bit of the first weight of every expert's matrices: still a plausible number, and wrong. */
export async function damageExperts(directory: string): Promise<void> {
  const { spec } = await compileModel(directory);
  const tensors = [...modelWeights(spec)].flatMap((weight) => (weight.role === 'experts' ? weight.tensors : []));
  if (tensors.length === 0) throw new Error('the model has no experts');
  for (const { file, offset } of tensors) {
    const handle = await open(join(directory, spec.files[file]!.path), 'r+');
    const bytes = Buffer.alloc(1);
    await handle.read(bytes, 0, 1, offset);
    bytes[0] = (bytes[0] ?? 0) ^ 0x10;
    await handle.write(bytes, 0, 1, offset);
    await handle.close();
  }
}

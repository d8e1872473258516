import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { compileModel } from '../../../controller/model/compile.ts';

/** Flips one bit of the first weight of every expert: still a plausible number, and wrong. */
export async function damageExperts(directory: string): Promise<void> {
  const { spec } = await compileModel(directory);
  for (const { moe } of spec.layers) {
    for (const { gate } of moe?.experts ?? []) {
      const weight = gate?.weight;
      const path = spec.files[weight?.file ?? -1]?.path;
      if (!weight || path === undefined) throw new Error('the model has no experts');
      const file = await open(join(directory, path), 'r+');
      const bytes = Buffer.alloc(1);
      await file.read(bytes, 0, 1, weight.offset);
      bytes[0] = (bytes[0] ?? 0) ^ 0x10;
      await file.write(bytes, 0, 1, weight.offset);
      await file.close();
    }
  }
}

import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { expertChecksums } from '../../../controller/cluster/leader/checksums.ts';
import { compileModel } from '../../../controller/model/compile.ts';
import { loadNative } from '../../../native/load.ts';

const directory = join(import.meta.dirname, '../../fixtures/golden/mixtral');

describe('checksums of loaded slots', () => {
  it.each([1, 2, 3])('are those that a controller expects, with %i slices per expert', async (slices) => {
    const { spec } = await compileModel(directory);
    const native = loadNative();
    const runtime = native.createRuntime({ threads: 1, isa: 'portable' });
    const store = await native.openWeights(runtime, { directory, spec, weights: 'f32' });
    const bank = native.createExpertBank(runtime, store);
    const slots = Array.from({ length: 8 * slices }, (_, id) => ({
      layer: 1,
      expert: Math.floor(id / slices),
      slice: id % slices,
      slices,
    }));
    const loaded = await bank.load(slots, null);
    expect(loaded.map(({ checksum }) => checksum)).toEqual(await expertChecksums(spec, directory, 1, slices));
    for (const handle of [bank, store, runtime]) handle.close();
  });
});

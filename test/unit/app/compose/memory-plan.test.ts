import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { MemoryError, type MemoryPlan, type MemoryRequest, planMemory } from '../../../../app/compose/memory-plan.ts';
import { compileModel } from '../../../../controller/model/compile.ts';
import type { ModelSpec } from '../../../../proto/messages.ts';
import { packageRoot } from '../../../../proto/package-root.ts';
import { withRunningSums } from '../../controller/model/running-sums.ts';

const MiB = 2 ** 20;
/** The demo model: 6 layers of 2 key/value heads of 32, in bf16. */
const bytesPerToken = 6 * 2 * 2 * 32 * 2;

let spec: ModelSpec;
beforeAll(async () => {
  ({ spec } = await compileModel(join(packageRoot, 'models/clerk')));
});

function plan(request: Partial<MemoryRequest>): MemoryPlan {
  return planMemory({
    spec,
    weights: 'bf16',
    freeBytes: 1024 * MiB,
    totalBytes: 2048 * MiB,
    cores: 1,
    kvMemory: null,
    blockSize: 16,
    maxModelLen: null,
    allowLong: false,
    maxSequences: 4,
    ...request,
  });
}

function refusal(request: Partial<MemoryRequest>): string {
  try {
    plan(request);
  } catch (error) {
    if (error instanceof MemoryError) return `${error.message}\n${error.remedy}`;
    throw error;
  }
  return 'no refusal';
}

describe('planMemory', () => {
  it('makes room for all sequences at full length where there is memory', () => {
    const { cache, warnings, placement } = plan({});
    expect(cache).toEqual({ kvBlocks: 4 * 32, stateSlots: 0, bytes: 4 * 512 * bytesPerToken, maxModelLen: 512 });
    expect(warnings).toEqual([]);
    expect(placement).toMatchObject({ workers: [{ id: 'local' }], pipelines: [{ stages: [{ endLayer: 6 }] }] });
  });

  it('takes half of what the weights leave where there is less', () => {
    const { weightBytes } = plan({});
    const { cache } = plan({ freeBytes: weightBytes + 2 * 100 * 16 * bytesPerToken + 1 });
    expect(cache.kvBlocks).toBe(100);
  });

  it('takes a length beyond the model where that is insisted on, and says what it risks', () => {
    const { cache, warnings } = plan({ maxModelLen: 600, allowLong: true });
    expect(cache.maxModelLen).toBe(600);
    expect(warnings).toEqual([expect.stringContaining('beyond the 512 positions')]);
    expect(plan({ maxModelLen: 512, allowLong: true }).warnings).toEqual([]);
  });

  it('shortens sequences to what the cache holds, and says so', () => {
    const { cache, warnings } = plan({ kvMemory: 10 * 16 * bytesPerToken });
    expect(cache).toMatchObject({ kvBlocks: 10, maxModelLen: 160 });
    expect(warnings).toEqual([
      "sequences are limited to 160 of the model's 512 tokens, as --kv-memory 240 KiB holds no more",
    ]);
  });

  it('takes no more of the memory given than sequences can use, and says so', () => {
    const { cache, warnings } = plan({ kvMemory: 512 * MiB });
    expect(cache.kvBlocks).toBe(4 * 32);
    expect(warnings).toEqual([
      'the KV cache takes 3 MiB of --kv-memory 512 MiB: --max-num-seqs 4 of 512 tokens use no more',
    ]);
  });

  it('makes room for the states of all sequences first', () => {
    const layers = [0, 1, 2];
    const ofModel = withRunningSums(spec, layers);
    const states = layers.length * 4 * 32 * 4; // 4 heads of 32 in f32, of one sequence.
    const kvMemory = 4 * states + 10 * 16 * (bytesPerToken / 2);
    const { cache, placement } = plan({ spec: ofModel, kvMemory });
    expect(cache).toEqual({ kvBlocks: 10, stateSlots: 4, bytes: kvMemory, maxModelLen: 160 });
    expect(placement.pipelines).toMatchObject([
      { kvBlocks: 10, stateSlots: 4, stages: [{ ranks: [{ cacheBytes: kvMemory }] }] },
    ]);
    const refused =
      /^--max-model-len 512 needs .* beside the states of 4 sequences, but .* holds 0 tokens\n.* or lower --max-num-seqs\.$/;
    expect(refusal({ spec: ofModel, kvMemory: 4 * states })).toMatch(refused);
    expect(refusal({ spec: ofModel, kvMemory: 100 })).toMatch(refused);
  });

  it('needs no blocks for a model that keeps states alone', () => {
    const layers = spec.layers.map((_, layer) => layer);
    const { cache } = plan({ spec: withRunningSums(spec, layers) });
    expect(cache).toEqual({ kvBlocks: 4 * 32, stateSlots: 4, bytes: 4 * 6 * 4 * 32 * 4, maxModelLen: 512 });
  });

  it.each<[string, Partial<MemoryRequest>, RegExp]>([
    [
      'a length that the cache cannot hold',
      { maxModelLen: 512, kvMemory: 10 * 16 * bytesPerToken },
      /^--max-model-len 512 needs 768 KiB .* --kv-memory 240 KiB holds 160 tokens\nRaise --kv-memory to 768 KiB or lower --max-model-len to 160\.$/,
    ],
    [
      'a length beyond the model',
      { maxModelLen: 513 },
      /^--max-model-len 513 is more than the 512 positions.*\n.* insist with --allow-long-max-model-len\.$/,
    ],
    ['a cache below one block', { kvMemory: 1 }, /--kv-memory 1 B holds 0 tokens/],
    [
      'weights beyond the memory',
      { freeBytes: 1 * MiB },
      /^clerk does not fit into the 1 MiB of memory that are free: .* 8.81 MiB are missing/,
    ],
    [
      'a cache beyond what the machine has, even where less would be used',
      { kvMemory: 900 * 1024 * MiB },
      /^--kv-memory 900 GiB is more than the 2 GiB of memory that there are\nGive at most/,
    ],
    ['a cache beyond the memory', { freeBytes: 12 * MiB, kvMemory: 12 * MiB, maxSequences: 64 }, /does not fit/],
  ])('refuses %s, with a remedy', (_, request, message) => {
    expect(refusal(request)).toMatch(message);
  });
});

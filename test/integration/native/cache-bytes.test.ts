import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { compileModel } from '../../../controller/model/compile.ts';
import { defaultConstraints } from '../../../controller/planner/input/input.ts';
import { plan } from '../../../controller/planner/plan.ts';
import { loadNative } from '../../../native/load.ts';
import type { WeightStore } from '../../../native/native.ts';
import type { ModelSpec } from '../../../proto/messages.ts';
import { cacheType, positionBytes, wholeModel } from '../../../proto/model/cache.ts';
import { gqaOf } from '../../../proto/model/operators.ts';
import type { WeightsFormat } from '../../../proto/weights-formats.ts';
import { goldenFolder } from '../../e2e/golden.ts';
import { kvBlocks, openModel } from './model.ts';

const native = loadNative();
const goldenNames = readdirSync(goldenFolder('.'));
const formats = ['f32', 'bf16', 'q8'] as const;
const blockSizes = Array.from({ length: 1024 }, (_, i) => i + 1);

/** What a planner puts into a plan for each of `ranks` tensor-parallel ranks. */
function plannedCaches(spec: ModelSpec, weights: WeightsFormat, ranks: number, kvBlocks: number, blockSize: number) {
  const worker = (id: string) => ({
    id,
    address: '',
    node: id,
    roles: ['stage'],
    memoryBytes: 1e12,
    cores: 1,
    device: 'cpu',
  });
  const layout = { ...defaultConstraints.layout, tensorParallelSize: ranks };
  const result = plan({
    spec,
    weights,
    workers: Array.from({ length: ranks }, (_, i) => worker(`w${i}`)),
    load: null,
    constraints: { ...defaultConstraints, layout, kvBlocks, blockSize },
    constraintsRevision: 0,
    term: 0,
    previous: null,
    reason: 'test',
  });
  if (result.kind === 'infeasible') throw new Error(result.problems.join('\n'));
  return result.plan.pipelines[0]!.stages[0]!;
}

async function withStore(name: string, weights: WeightsFormat, use: (spec: ModelSpec, store: WeightStore) => void) {
  const directory = goldenFolder(name);
  const { spec } = await compileModel(directory);
  const runtime = native.createRuntime({ threads: 1, isa: null });
  const store = await native.openWeights(runtime, { directory, spec, weights });
  try {
    use(spec, store);
  } finally {
    store.close();
    runtime.close();
  }
}

describe.each(formats)('a cache beside %s weights', (weights) => {
  it.each(goldenNames)('of %s takes what is counted for it, whatever the block size', async (name) => {
    await withStore(name, weights, (spec, store) => {
      const whole = wholeModel(spec);
      const perPosition = positionBytes(spec, cacheType(weights), whole);
      expect(perPosition).toBeGreaterThan(0);
      for (const blockSize of blockSizes) {
        expect(native.cacheBytes(store, { ...whole, kvBlocks: 3, blockSize })).toBe(3 * blockSize * perPosition);
      }
    });
  });

  it.each(goldenNames)('of %s takes on each rank what the planner counts for it', async (name) => {
    await withStore(name, weights, (spec, store) => {
      const { kvHeads, qkNorm } = gqaOf(spec.layers[0])!;
      const separable = qkNorm !== 'QK_NORM_FULL_WIDTH' && kvHeads > 1;
      for (const ranks of separable ? [1, 2] : [1]) {
        for (const blockSize of [1, 7, 8, 16, 17, 1000]) {
          const { firstLayer, endLayer, ranks: placed } = plannedCaches(spec, weights, ranks, 5, blockSize);
          expect(placed).toHaveLength(ranks);
          for (const { share, cacheBytes } of placed) {
            const slice = { firstLayer, endLayer, share: share!, kvBlocks: 5, blockSize };
            expect(native.cacheBytes(store, slice)).toBe(cacheBytes);
          }
        }
      }
    });
  });
});

it.each([1, 3, 8, 16, 17])(
  'a stage with blocks of %i positions takes the bytes that were announced',
  async (blockSize) => {
    const model = await openModel(native, goldenFolder('qwen3_moe'), { weights: 'bf16', blockSize });
    try {
      const { firstLayer, endLayer, share } = wholeModel(model.spec);
      const announced = native.cacheBytes(model.store, {
        firstLayer,
        endLayer,
        share,
        kvBlocks,
        blockSize,
      });
      expect(model.stage.cacheBytes).toBe(announced);
    } finally {
      model.close();
    }
  },
);

import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { compileModel } from '../../../controller/model/compile.ts';
import { defaultConstraints } from '../../../controller/planner/input/input.ts';
import { modelFootprint } from '../../../controller/planner/input/memory.ts';
import { plan } from '../../../controller/planner/plan.ts';
import { loadNative } from '../../../native/load.ts';
import type { WeightStore } from '../../../native/native.ts';
import type { ModelSpec } from '../../../proto/messages.ts';
import {
  blockBytes,
  type CacheRoom,
  cacheBytes,
  cacheType,
  positionBytes,
  stateBytes,
  stateSlotsFor,
  wholeModel,
} from '../../../proto/model/cache.ts';
import type { WeightsFormat } from '../../../proto/weights-formats.ts';
import { goldenFolder } from '../../e2e/golden.ts';
import { withRunningSums } from '../../unit/controller/model/running-sums.ts';
import { kvBlocks, openModel, wholeStage } from './model.ts';

const native = loadNative();
const goldenNames = readdirSync(goldenFolder('.'));
const formats = ['f32', 'bf16', 'q8'] as const;
const blockSizes = Array.from({ length: 1024 }, (_, i) => i + 1);

/** What a planner puts into a plan for each of `ranks` tensor-parallel ranks. */
function plannedCaches(spec: ModelSpec, weights: WeightsFormat, ranks: number, room: CacheRoom) {
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
    constraints: { ...defaultConstraints, layout, ...room },
    constraintsRevision: 0,
    term: 0,
    previous: null,
    reason: 'test',
  });
  if (result.kind === 'infeasible') throw new Error(result.problems.join('\n'));
  return result.plan.pipelines[0]!.stages[0]!;
}

/** Each rank's cache takes what the planner counts for it. */
function expectPlanned(spec: ModelSpec, store: WeightStore, ranks: number, room: CacheRoom): void {
  const { firstLayer, endLayer, ranks: placed } = plannedCaches(spec, store.weights, ranks, room);
  expect(placed).toHaveLength(ranks);
  for (const { share, cacheBytes } of placed) {
    expect(native.cacheBytes(store, { firstLayer, endLayer, share: share!, ...room })).toBe(cacheBytes);
  }
}

async function withStore(
  name: string,
  weights: WeightsFormat,
  use: (spec: ModelSpec, store: WeightStore) => void,
  change = (spec: ModelSpec): ModelSpec => spec,
) {
  const directory = goldenFolder(name);
  const spec = change((await compileModel(directory)).spec);
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
      expect(positionBytes(spec, cacheType(weights), whole)).toBeGreaterThan(0);
      const slots = stateSlotsFor(spec, 2);
      const states = slots * stateBytes(spec, whole);
      for (const blockSize of blockSizes) {
        const room = { kvBlocks: 3, blockSize, stateSlots: slots };
        const blocks = 3 * blockBytes(spec, cacheType(weights), whole, blockSize);
        expect(native.cacheBytes(store, { ...whole, ...room })).toBe(blocks + states);
      }
    });
  });

  it.each(goldenNames)('of %s takes on each rank what the planner counts for it', async (name) => {
    await withStore(name, weights, (spec, store) => {
      const parts = modelFootprint(spec, weights).layers.flatMap(({ shared }) => shared);
      const separable = parts.every(({ heads, inseparable }) => !inseparable && heads !== 1);
      for (const ranks of separable ? [1, 2] : [1]) {
        for (const blockSize of [1, 7, 8, 16, 17, 1000]) {
          expectPlanned(spec, store, ranks, { kvBlocks: 5, blockSize, stateSlots: stateSlotsFor(spec, 3) });
        }
      }
    });
  });

  it.each(['llama', 'qwen2_moe'])('of %s with states takes what is counted for it', async (name) => {
    const hybrid = (spec: ModelSpec) => withRunningSums(spec, [0, 2]);
    const use = (spec: ModelSpec, store: WeightStore): void => {
      const whole = wholeModel(spec);
      for (const stateSlots of [1, 7, 64]) {
        const room = { kvBlocks: 5, blockSize: 16, stateSlots };
        expect(native.cacheBytes(store, { ...whole, ...room })).toBe(cacheBytes(spec, cacheType(weights), whole, room));
        for (const ranks of [1, 2]) expectPlanned(spec, store, ranks, room);
      }
    };
    await withStore(name, weights, use, hybrid);
  });
});

it('a stage with states takes the bytes that were announced', async () => {
  const folder = goldenFolder('qwen2_moe');
  const spec = withRunningSums((await compileModel(folder)).spec, [0]);
  const model = await openModel(native, folder, { spec });
  try {
    expect(model.stage.cacheBytes).toBe(native.cacheBytes(model.store, wholeStage(spec)));
    expect(() => native.cacheBytes(model.store, { ...wholeStage(spec), stateSlots: 0 })).toThrow(
      'stateSlots: expected at least 1 for layers that keep states of sequences, got 0',
    );
  } finally {
    model.close();
  }
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
        stateSlots: 0,
      });
      expect(model.stage.cacheBytes).toBe(announced);
    } finally {
      model.close();
    }
  },
);

import { describe, expect, it } from 'vitest';
import type { Native, StepBatch, StepOutput, StepProgress } from '../../../../native/native.ts';
import type { ModelSpec } from '../../../../proto/messages.ts';
import { cacheSize, modelCacheBytes } from '../../../../worker/stage/cache-size.ts';
import { createLocalExecutor } from '../../../../worker/stage/local-executor.ts';

const limits = { kvBlocks: 8, blockSize: 16, stateSlots: 0 };

/** Two layers: three experts, then dense; 2 key/value heads of 32 and 4 of 16. */
const spec = {
  layers: [
    { blocks: [{ operators: [attention(2, 32), { kind: 'moe', moe: { experts: { count: 3 } } }] }] },
    { blocks: [{ operators: [attention(4, 16)] }] },
  ],
} as unknown as ModelSpec;

function attention(heads: number, width: number) {
  return { kind: 'gqa', cache: { kind: 'paged', paged: { heads, keyWidth: width, valueWidth: width } } };
}

/** A native binding that notes what is done to it; `failing` names a call that fails. */
function fakeNative(
  failing: string | null,
  progress: StepProgress | null = null,
  cacheBytes = 8 * 16_384,
): { native: Native; calls: string[] } {
  const calls: string[] = [];
  const call = (name: string): void => {
    calls.push(name);
    if (name === failing) throw Object.assign(new Error(name), { code: 'IO' });
  };
  const handle = (name: string) => ({ close: () => call(`close ${name}`) });
  const native = {
    createRuntime: () => (call('runtime'), handle('runtime')),
    openWeights: async () => (call('weights'), handle('weights')),
    createExpertBank: () => ({
      ...handle('bank'),
      load: async (slots: readonly unknown[]) => call(`load ${slots.length}`),
    }),
    cacheBytes: () => (call('cache'), cacheBytes),
    createStage: async (...[, , , options]: Parameters<Native['createStage']>) => {
      call(`stage ${options.firstLayer}-${options.endLayer} of ${options.kvBlocks} blocks`);
      const abort = (step: number) => call(`abort ${step}`);
      return { ...handle('stage'), begin: async () => progress, abort };
    },
  };
  return { native: native as unknown as Native, calls };
}

function create(native: Native) {
  const options = { directory: '/nowhere', spec, weights: 'f32', threads: 1, isa: null, onProgress: null } as const;
  return createLocalExecutor({ native, ...options, limits: () => limits });
}

const batch = {} as StepBatch;
const opened = ['runtime', 'weights', 'load 3', 'cache', 'stage 0-2 of 8 blocks'];

describe('a model in this process', () => {
  it('is all layers and all experts, and is closed in the opposite order', async () => {
    const { native, calls } = fakeNative(null);
    const executor = await create(native);
    expect(executor.limits).toEqual(limits);
    executor.close();
    expect(calls).toEqual([...opened, 'close stage', 'close bank', 'close weights', 'close runtime']);
  });

  it.each([
    ['runtime', []],
    ['weights', ['close runtime']],
    ['load 3', ['close bank', 'close weights', 'close runtime']],
    ['stage 0-2 of 8 blocks', ['close bank', 'close weights', 'close runtime']],
  ])('whose opening fails at "%s" leaves nothing open', async (failing, closed) => {
    const { native, calls } = fakeNative(failing);
    await expect(create(native)).rejects.toMatchObject({ code: 'IO' });
    expect(calls).toEqual([...opened.slice(0, opened.indexOf(failing) + 1), ...closed]);
  });

  it('is refused before it takes memory when its cache would take other than was counted', async () => {
    const { native, calls } = fakeNative(null, null, 2 * 8 * 16_384);
    await expect(create(native)).rejects.toThrow(
      'cache of layers 0 to 1: 8 blocks of 16 positions take 262144 bytes here, but 131072 were planned',
    );
    expect(calls).toEqual([...opened.slice(0, 4), 'close bank', 'close weights', 'close runtime']);
  });

  it('runs a step in one call', async () => {
    const output = {} as StepOutput;
    const executor = await create(fakeNative(null, { kind: 'output', output }).native);
    expect(await executor.execute(batch)).toBe(output);
  });

  it('refuses a step that asks for other workers, and forgets it', async () => {
    const dispatch = { kind: 'dispatch', step: 7, layer: 0, operator: 'ffn', dispatches: [] } as const;
    const { native, calls } = fakeNative(null, dispatch);
    const executor = await create(native);
    await expect(executor.execute(batch)).rejects.toThrow('returned "dispatch" instead of tokens');
    expect(calls.at(-1)).toBe('abort 7');
  });
});

describe('the cache', () => {
  // 2 (keys and values) * (2 * 32 + 4 * 16) elements per position.
  it.each([
    ['f32', 256 * 4 * 16],
    ['bf16', 256 * 2 * 16],
    ['q8', 256 * 2 * 16],
  ] as const)('of a model in %s takes %i bytes per block', (weights, bytes) => {
    expect(modelCacheBytes(spec, weights, { kvBlocks: 1, blockSize: 16, stateSlots: 0 })).toBe(bytes);
  });

  const request = { spec, weights: 'f32', blockSize: 16, maxModelLen: 100, maxSequences: 3, budgetBytes: 1e9 } as const;

  it('holds all sequences at full length, and no more', () => {
    expect(cacheSize(request)).toEqual({ kvBlocks: 21, stateSlots: 0, bytes: 21 * 16_384, maxModelLen: 100 });
  });

  it('shrinks to its budget, and the longest sequence with it', () => {
    expect(cacheSize({ ...request, budgetBytes: 6 * 16_384 + 1 })).toEqual({
      kvBlocks: 6,
      stateSlots: 0,
      bytes: 6 * 16_384,
      maxModelLen: 96,
    });
  });

  it('counts every state of every sequence, before blocks', () => {
    const states = [
      { heads: 4, elements: 100 },
      { heads: 2, elements: 7 },
    ];
    const operators = [attention(2, 32), { kind: 'runningSum', cache: { kind: 'fixed', fixed: { states } } }];
    const ofModel = { layers: [{ blocks: [{ operators }] }] } as unknown as ModelSpec;
    const [perBlock, perSequence] = [2 * 2 * 32 * 4 * 16, 414 * 4];
    const sized = { ...request, spec: ofModel, budgetBytes: 5 * perBlock + 3 * perSequence };
    expect(cacheSize(sized)).toEqual({ kvBlocks: 5, stateSlots: 3, bytes: sized.budgetBytes, maxModelLen: 80 });
    expect(() => cacheSize({ ...sized, budgetBytes: perBlock + 3 * perSequence - 1 })).toThrow(
      `16 positions and states of 3 sequences take ${perBlock + 3 * perSequence} bytes`,
    );
  });

  it.each([16_383, 0, -1, Number.NaN])('is refused a budget of %d bytes', (budgetBytes) => {
    expect(() => cacheSize({ ...request, budgetBytes })).toThrow(
      `budget of ${budgetBytes} bytes is below one block: 16 positions take 16384 bytes`,
    );
  });
});

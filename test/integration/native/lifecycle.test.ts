import { execFile } from 'node:child_process';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';
import { beforeAll, describe, expect, test } from 'vitest';
import { compileModel } from '../../../controller/model/compile.ts';
import { loadNative } from '../../../native/load.ts';
import type { ModelSpec } from '../../../proto/messages.ts';
import { packageRoot } from '../../../proto/messages.ts';
import { expertCount, moeOf } from '../../../proto/model/operators.ts';
import { goldenFolder } from '../../e2e/golden.ts';
import { expertsOf, type Model, openModel, stepBatch, wholeStage } from './model.ts';
import { expertRoute } from './shards.ts';

const native = loadNative();
const directory = goldenFolder('qwen3_moe');
const closed = { code: 'CLOSED' };
const tokens = Array.from({ length: 64 }, (_, index) => 3 + ((index * 7) % 300));
const batch = (blocks = 0) =>
  stepBatch([
    {
      tokens,
      begin: 0,
      end: 64,
      blocks: Array.from({ length: 16 }, (_, block) => blocks * 16 + block),
      wanted: [{ position: 63, target: null }],
    },
  ]);

async function withModel(use: (model: Model) => Promise<void>): Promise<void> {
  const model = await openModel(native, directory);
  try {
    await use(model);
  } finally {
    model.close();
  }
}

describe('close()', () => {
  test('can be called again, on every handle and in any order', async () => {
    for (const order of [
      [0, 1, 2, 3, 4],
      [4, 3, 2, 1, 0],
      [2, 0, 4, 1, 3],
    ]) {
      const { stage, bank, store, runtime, spec } = await openModel(native, directory);
      const rank = await native.createRankShard(runtime, store, wholeStage(spec), null);
      const handles = [stage, bank, store, runtime, rank];
      for (const index of [...order, ...order]) expect(() => handles[index]?.close()).not.toThrow();
    }
  });

  test('makes every later call fail with CLOSED', async () => {
    await withModel(async ({ stage, bank, store, runtime, spec }) => {
      const rank = await native.createRankShard(runtime, store, wholeStage(spec), null);
      const slot = { layer: 0, expert: 0, slice: 0, slices: 1 };
      const rows = {
        layer: 0,
        rowCount: 1,
        type: 'f32',
        rows: new Uint8Array(256),
        grid: Int32Array.of(-20),
        topK: 1,
        topkIds: Int32Array.of(0),
        topkWeights: Float32Array.of(1),
      } as const;
      rank.close();
      await expect(rank.ffn(rows, bank)).rejects.toMatchObject(closed);
      await expect(rank.attention(rows, batch())).rejects.toMatchObject(closed);
      expect(rank.bytes).toBe(0);
      stage.close();
      await expect(stage.begin(batch())).rejects.toMatchObject(closed);
      await expect(stage.resume(1, [])).rejects.toMatchObject(closed);
      expect(() => stage.abort(1)).toThrow(expect.objectContaining(closed));
      expect(() =>
        stage.setRoute(
          0,
          expertRoute(8, 1, () => [0]),
        ),
      ).toThrow(expect.objectContaining(closed));
      expect(() => stage.takeExpertRows()).toThrow(expect.objectContaining(closed));
      expect(() => stage.takeProfile()).toThrow(expect.objectContaining(closed));
      bank.close();
      await expect(bank.load([slot], null)).rejects.toMatchObject(closed);
      await expect(bank.forward(rows)).rejects.toMatchObject(closed);
      expect(() => bank.has(slot)).toThrow(expect.objectContaining(closed));
      expect(() => bank.unload([slot])).toThrow(expect.objectContaining(closed));
      expect([bank.slotCount, bank.bytes]).toEqual([0, 0]);
      await expect(native.createStage(runtime, store, bank, wholeStage(spec), null)).rejects.toMatchObject(closed);
      store.close();
      expect(() => native.createExpertBank(runtime, store)).toThrow(expect.objectContaining(closed));
      runtime.close();
      await expect(native.openWeights(runtime, { directory, spec, weights: 'f32' })).rejects.toMatchObject(closed);
    });
  });

  test('of the runtime makes calls of its other handles fail with CLOSED', async () => {
    await withModel(async ({ stage, bank, store, runtime, spec }) => {
      runtime.close();
      await expect(stage.begin(batch())).rejects.toMatchObject(closed);
      await expect(bank.load(expertsOf(spec), null)).rejects.toMatchObject(closed);
      expect(() => native.createExpertBank(runtime, store)).toThrow(expect.objectContaining(closed));
    });
  });

  test('lets the calls that were made before end', async () => {
    const { stage, bank, store, runtime } = await openModel(native, directory);
    const steps = Array.from({ length: 20 }, (_, index) => stage.begin(batch(index % 4)));
    for (const handle of [stage, bank, store, runtime]) handle.close();
    const kinds = (await Promise.all(steps)).map(({ kind }) => kind);
    expect(kinds).toEqual(Array.from({ length: 20 }, () => 'output'));
  });

  test('of a bank ends the loads that still run with CLOSED', async () => {
    await withModel(async ({ runtime, store, spec }) => {
      const bank = native.createExpertBank(runtime, store);
      const loads = Array.from({ length: 50 }, () => bank.load(expertsOf(spec), null));
      bank.close();
      for (const result of await Promise.allSettled(loads)) {
        if (result.status === 'rejected') expect(result.reason).toMatchObject(closed);
      }
      expect(bank.bytes).toBe(0);
    });
  });
});

describe('a step', () => {
  test('that was aborted cannot be resumed, and aborting it again is fine', async () => {
    await withModel(async ({ stage }) => {
      stage.setRoute(
        0,
        expertRoute(8, 1, () => [1]),
      );
      const progress = await stage.begin(batch());
      if (progress.kind !== 'dispatch') throw new Error('expected a dispatch');
      stage.abort(progress.step);
      stage.abort(progress.step);
      stage.abort(12345);
      await expect(stage.resume(progress.step, [])).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    });
  });

  test('of several in flight goes on by itself', async () => {
    await withModel(async ({ stage, bank }) => {
      const alone = await stage.begin(batch());
      stage.setRoute(
        1,
        expertRoute(8, 1, (expert) => (expert < 4 ? [0] : [1])),
      );
      const steps = await Promise.all([0, 1, 2, 3].map((blocks) => stage.begin(batch(blocks))));
      const outputs = await Promise.all(
        steps.reverse().map(async (progress) => {
          if (progress.kind !== 'dispatch') throw new Error('expected a dispatch');
          const partials = progress.dispatches.map(async ({ rowIndices, experts }) => ({
            rowIndices,
            ...(await bank.forward(experts)),
          }));
          return stage.resume(progress.step, await Promise.all(partials));
        }),
      );
      if (alone.kind !== 'output') throw new Error('expected the output');
      for (const output of outputs)
        expect(output).toMatchObject({ kind: 'output', output: { tokens: alone.output.tokens } });
    });
  });

  test('whose local expert was unloaded fails with SLOT_NOT_LOADED, and the next one works', async () => {
    await withModel(async ({ stage, bank, spec }) => {
      bank.unload(expertsOf(spec, 1, ({ layer }) => layer === 1));
      await expect(stage.begin(batch())).rejects.toMatchObject({ code: 'SLOT_NOT_LOADED' });
      await bank.load(expertsOf(spec), null);
      expect((await stage.begin(batch())).kind).toBe('output');
    });
  });

  test('counts the rows of each expert and the time of each part', async () => {
    await withModel(async ({ stage, spec }) => {
      await stage.begin(batch());
      const counts = stage.takeExpertRows();
      expect(counts.map(({ length }) => length)).toEqual(spec.layers.map(expertCount));
      const rows = (list: Uint32Array | undefined) => [...(list ?? [])].reduce((sum, count) => sum + count, 0);
      spec.layers.forEach((layout, layer) => expect(rows(counts[layer])).toBe(64 * (moeOf(layout)?.gate?.topK ?? 0)));
      expect(stage.takeExpertRows().every((layer) => rows(layer) === 0)).toBe(true);
      const profile = stage.takeProfile();
      for (const part of ['attention', 'experts', 'head']) expect(profile[part]).toBeGreaterThan(0);
      expect(Object.values(stage.takeProfile()).every((seconds) => seconds === 0)).toBe(true);
    });
  });
});

describe('loading', () => {
  test('reports progress that rises to the total, and checksums of what lies in the file', async () => {
    await withModel(async ({ runtime, store, spec }) => {
      const bank = native.createExpertBank(runtime, store);
      const reports: [number, number][] = [];
      const loaded = await bank.load(expertsOf(spec), (done, total) => reports.push([done, total]));
      const [done, total] = reports.at(-1) ?? [];
      expect(done).toBe(total);
      expect(reports.every(([value], index) => value >= (reports[index - 1]?.[0] ?? 0))).toBe(true);
      expect(loaded).toHaveLength(bank.slotCount);
      expect(loaded.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(bank.bytes);
      expect(new Set(loaded.map(({ checksum }) => checksum)).size).toBe(loaded.length);
      expect(await bank.load(expertsOf(spec), null)).toEqual(loaded);
      bank.unload(expertsOf(spec));
      expect([bank.slotCount, bank.bytes]).toEqual([0, 0]);
      const halves = await bank.load(expertsOf(spec, 2), null);
      expect(halves).toHaveLength(2 * loaded.length);
      bank.close();
    });
  });

  test('tells weights from the cache', async () => {
    await withModel(async ({ runtime, store, bank, spec }) => {
      const reports: [string, number, number][] = [];
      const onProgress = (done: number, total: number, part: string): void => void reports.push([part, done, total]);
      const options = wholeStage(spec);
      const stage = await native.createStage(runtime, store, bank, options, onProgress);
      expect(new Set(reports.map(([part]) => part))).toEqual(new Set(['weights', 'cache']));
      expect(reports.at(-1)).toEqual(['cache', stage.cacheBytes, stage.cacheBytes]);
      expect(reports.findIndex(([part]) => part === 'cache')).toBeGreaterThan(0);
      expect(reports.slice(reports.findIndex(([part]) => part === 'cache')).every(([part]) => part === 'cache')).toBe(
        true,
      );
      stage.close();
    });
  });

  test('of a missing or different file says which', async () => {
    const { spec } = await compileModel(directory);
    const runtime = native.createRuntime({ threads: 1, isa: null });
    const open = (change: Partial<ModelSpec>, folder = directory) =>
      native.openWeights(runtime, { directory: folder, spec: { ...spec, ...change }, weights: 'f32' });
    const changed = (change: object): ModelSpec['embedding'] =>
      spec.embedding && { ...spec.embedding, data: { ...spec.embedding.data!, ...change } };
    const [file] = spec.files;
    const bytes = file?.bytes ?? 0;
    const refusals: readonly (readonly [() => Promise<unknown>, string, RegExp])[] = [
      [() => open({}, '/nonexistent'), 'IO', /model\.safetensors: No such file or directory/],
      [
        () => open({ files: [{ path: 'model.safetensors', bytes: bytes + 1 }] }),
        'CORRUPT_CHECKPOINT',
        /expected \d+ bytes, found \d+/,
      ],
      [
        () => open({ files: [{ path: '../model.safetensors', bytes }] }),
        'INVALID_ARGUMENT',
        /within the checkpoint folder/,
      ],
      [() => open({ files: [{ path: '/etc/passwd', bytes }] }), 'INVALID_ARGUMENT', /within the checkpoint folder/],
      [() => open({ files: [] }), 'INVALID_ARGUMENT', /tensor model\.embed_tokens\.weight.*file 0 of 0/],
      [
        () => open({ hiddenSize: 65 }),
        'CORRUPT_CHECKPOINT',
        /tensor model\.embed_tokens\.weight.*expected shape \[320, 65\], got \[320, 64\]/,
      ],
      [
        () => open({ embedding: changed({ offset: bytes }) }),
        'CORRUPT_CHECKPOINT',
        /tensor model\.embed_tokens\.weight.*do not lie within/,
      ],
      [
        () => open({ embedding: changed({ dtype: 'DATA_TYPE_I24' }) }),
        'UNSUPPORTED',
        /dtype: the engine does not know DATA_TYPE_I24/,
      ],
      [
        () => open({ embedding: changed({ dtype: 'DATA_TYPE_I8' }) }),
        'CORRUPT_CHECKPOINT',
        /expected elements in F32, F16 or BF16/,
      ],
      [() => open({ layers: [] }), 'INVALID_ARGUMENT', /layers: expected at least one/],
    ];
    for (const [refusal, code, message] of refusals) {
      await expect(refusal()).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    }
    runtime.close();
  });
});

test('many handles at once', async () => {
  const { spec } = await compileModel(directory);
  const models = await Promise.all(
    Array.from({ length: 24 }, async () => {
      const runtime = native.createRuntime({ threads: 2, isa: null });
      const store = await native.openWeights(runtime, { directory, spec, weights: 'bf16' });
      const bank = native.createExpertBank(runtime, store);
      await bank.load(expertsOf(spec), null);
      return { runtime, store, bank, stage: await native.createStage(runtime, store, bank, wholeStage(spec), null) };
    }),
  );
  const outputs = await Promise.all(models.map(({ stage }) => stage.begin(batch())));
  expect(new Set(outputs.map((progress) => JSON.stringify(progress))).size).toBe(1);
  for (const { runtime, store, bank, stage } of models)
    for (const handle of [runtime, store, bank, stage]) handle.close();
});

// Programs for plain Node: they run the built addon outside of the test runner.
const addon = resolve(process.env['CONCLAVE_NATIVE'] ?? join(packageRoot, 'native/build/conclave.node'));
const program = (body: string) => `
  const native = require(${JSON.stringify(addon)});
  async function open({ spec, directory, options, slots }) {
    const runtime = native.createRuntime({ threads: 2, isa: null });
    const store = await native.openWeights(runtime, { directory, spec, weights: 'f32' });
    const bank = native.createExpertBank(runtime, store);
    await bank.load(slots, null);
    return { runtime, store, bank, stage: await native.createStage(runtime, store, bank, options, null) };
  }
  ${body}`;

describe('a worker thread', () => {
  let input: object;
  beforeAll(async () => {
    const { spec } = await compileModel(directory);
    input = { spec, directory, options: wholeStage(spec), slots: expertsOf(spec), batch: batch() };
  });

  const body = program(`
    const { parentPort, workerData } = require('node:worker_threads');
    open(workerData).then(async ({ stage, ...rest }) => {
      globalThis.kept = rest;
      if (workerData.endless) {
        parentPort.postMessage('running');
        for (;;) await Promise.all(Array.from({ length: 8 }, () => stage.begin(workerData.batch)));
      }
      const progress = await stage.begin(workerData.batch);
      parentPort.postMessage(progress.output.tokens[0]);
    });`);

  test('computes what the main thread computes, and ends without close()', async () => {
    const results = await Promise.all(
      [0, 1, 2].map(async () => {
        const worker = new Worker(body, { eval: true, workerData: input });
        const token = await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
        expect(await new Promise((resolve) => worker.once('exit', resolve))).toBe(0);
        return token;
      }),
    );
    await withModel(async ({ stage }) => {
      const progress = await stage.begin(batch());
      if (progress.kind !== 'output') throw new Error('expected the output');
      expect(results).toEqual(Array.from({ length: 3 }, () => progress.output.tokens[0]));
    });
  });

  test('can be terminated while steps run, again and again', async () => {
    for (let round = 0; round < 8; round++) {
      const worker = new Worker(body, { eval: true, workerData: { ...input, endless: true } });
      await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
      expect(await worker.terminate()).toBe(1);
    }
  });
});

describe('a process', () => {
  let setup: string;
  beforeAll(async () => {
    const { spec } = await compileModel(directory);
    setup = `const input = ${JSON.stringify({ spec, directory, options: wholeStage(spec), slots: expertsOf(spec) })};
      const ints = (list) => Int32Array.from(list);
      const logits = { rows: ints([63]), targets: ints([-1]), logprobs: ints([-1]), sampling: [null], positions: ints([64]),
        sequenceIndices: ints([0]), promptTokens: [null], outputTokens: [null], filters: [null] };
      const batch = { positions: ints(Array(64).keys()), tokenIds: new Int32Array(64).fill(5), sequenceOffsets: ints([0, 64]),
        blockTables: ints(Array(16).keys()), blockOffsets: ints([0, 16]), stateSlots: ints([-1]), hidden: null, logits };`;
  });

  const node = async (body: string, ...flags: string[]) => {
    const child = promisify(execFile)(process.execPath, [...flags, '-e', program(setup + body)], { timeout: 60_000 });
    const { stdout, stderr } = await child;
    expect(stderr).toBe('');
    return stdout;
  };

  test('that exits while steps and loads run ends at once with its own code', async () => {
    const body = `open(input).then(({ stage, bank, ...rest }) => {
      globalThis.kept = rest;
      for (let i = 0; i < 200; i++) stage.begin(batch);
      bank.unload(input.slots);
      for (let i = 0; i < 50; i++) bank.load(input.slots, () => {});
      process.exit(7);
    });`;
    await expect(node(body)).rejects.toMatchObject({ code: 7, signal: null, stderr: '' });
  });

  test('that closes nothing ends by itself once its calls have ended', async () => {
    const body = `open(input).then(async (model) => {
      globalThis.kept = model;
      const all = await Promise.all(Array.from({ length: 5 }, () => model.stage.begin(batch)));
      console.log(all.map(({ kind }) => kind).join());
    });`;
    expect(await node(body)).toBe('output,output,output,output,output\n');
  });

  test('gets its results though it forgets the handles, and their memory comes back', async () => {
    const body = `(async () => {
      let most = 0;
      for (let round = 0; round < 300; round++) {
        let model = await open(input);
        const step = model.stage.begin(batch);
        model = null;
        if (round % 10 === 0) { gc(); await new Promise(setImmediate); }
        if ((await step).kind !== 'output') throw new Error('no output');
        if (round === 100) most = process.memoryUsage().rss;
      }
      gc(); await new Promise(setImmediate); gc();
      // Each model takes 2 MB: 200 of them would show.
      console.log(process.memoryUsage().rss - most < 100e6);
    })();`;
    expect(await node(body, '--expose-gc')).toBe('true\n');
  });

  test('sees what its progress function throws as an uncaught exception', async () => {
    const body = `process.on('uncaughtException', (error) => console.log('uncaught', error.message));
    open(input).then(async ({ bank }) => {
      bank.unload(input.slots);
      const loaded = await bank.load(input.slots, () => { throw new Error('from progress'); });
      console.log(loaded.length === input.slots.length);
    });`;
    expect(await node(body)).toMatch(/^(uncaught from progress\n)+true\n$/);
  });
});

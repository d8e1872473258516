import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compileModel } from '../../../controller/model/compile.ts';
import { loadNative } from '../../../native/load.ts';
import type { StepBatch } from '../../../native/native.ts';
import type { ModelSpec } from '../../../proto/messages.ts';
import { createEngine, type Engine } from '../../../worker/engine/engine.ts';
import type { EngineLimits } from '../../../worker/engine/request/limits.ts';
import type { StepExecutor } from '../../../worker/engine/step/executor.ts';
import { cacheSize } from '../../../worker/stage/cache-size.ts';
import { createLocalExecutor, type LocalExecutor } from '../../../worker/stage/local-executor.ts';
import { goldenFolder, readGoldens } from '../../e2e/golden.ts';
import { type Collected, collect, collected, runRequest } from '../../unit/worker/engine/run-request.ts';

const native = loadNative();
const families = ['mixtral', 'mixtral_swa', 'qwen2_moe', 'qwen3_moe', 'olmoe', 'llama', 'mistral', 'qwen2', 'qwen3'];
const blockSize = 4;
const maxModelLen = 96;
const never = new AbortController().signal;

/** The required bound; f32 rounding of these small models stays far below. */
const tolerance = 1e-3;

interface Rig {
  readonly engine: Engine;
  /** Rows of each step. */
  readonly steps: number[];
}

describe.each(families)('%s through the scheduler', (family) => {
  const goldens = readGoldens(family);
  const prompts = goldens.map(({ prompt }) => prompt);
  const count = goldens[0]!.continuation.length;
  let spec: ModelSpec;
  let executor: LocalExecutor;

  beforeAll(async () => {
    ({ spec } = await compileModel(goldenFolder(family)));
    executor = await createLocalExecutor({
      native,
      directory: goldenFolder(family),
      spec,
      weights: 'f32',
      threads: 2,
      isa: null,
      limits: () => {
        const budgetBytes = 2 ** 24;
        const size = cacheSize({ spec, weights: 'f32', blockSize, maxModelLen, maxSequences: 16, budgetBytes });
        return { kvBlocks: size.kvBlocks, blockSize, stateSlots: 0 };
      },
      onProgress: null,
    });
  });
  afterAll(() => executor?.close());

  function rig(limits: Partial<EngineLimits> = {}, kvBlocks = executor.limits.kvBlocks): Rig {
    const steps: number[] = [];
    const counting: StepExecutor = {
      limits: { kvBlocks, blockSize, stateSlots: 0 },
      execute(batch: StepBatch) {
        steps.push(batch.positions.length);
        return executor.execute(batch);
      },
    };
    const engine = createEngine({
      executor: counting,
      model: { vocabSize: spec.vocabSize, eosTokenIds: spec.eosTokenIds },
      limits: { maxModelLen, maxSequences: 7, maxBatchedTokens: 512, ...limits },
    });
    return { engine, steps };
  }

  /** Runs all prompts at once, greedily, to the goldens' length. */
  function runAll({ engine }: Rig, tag: string, scored: boolean): Promise<Collected[]> {
    const limits = { maxTokens: count, ignoreEos: true, logprobs: 1, ...(scored ? { promptLogprobs: 1 } : {}) };
    return Promise.all(
      prompts.map((prompt, i) => collect(engine.run(runRequest(`${tag}${i}`, prompt, limits), never), collected(1))),
    );
  }

  function expectGolden(results: readonly Collected[], scored: boolean): void {
    for (const [i, { tokens, logprobs, promptLogprobs }] of results.entries()) {
      const golden = goldens[i]!;
      expect(tokens).toEqual([golden.continuation]);
      expectClose(logprobs[0]!, golden.continuationLogprobs);
      const scores = promptLogprobs.slice(1).map(({ logprob }) => logprob);
      expectClose(scores, scored ? golden.promptLogprobs : []);
    }
  }

  it('three prompts in one batch', async () => {
    const one = rig();
    expectGolden(await runAll(one, 'a', true), true);
    const promptRows = prompts.reduce((sum, { length }) => sum + length, 0);
    expect(one.steps).toEqual([promptRows, ...new Array<number>(count - 1).fill(prompts.length)]);
    await one.engine.stop();
  });

  it('in chunks of 7 tokens', async () => {
    const one = rig({ maxBatchedTokens: 7 });
    expectGolden(await runAll(one, 'a', true), true);
    expect(Math.max(...one.steps)).toBe(7);
    await one.engine.stop();
  });

  it('with its prompts’ blocks reused, and scored again although they are', async () => {
    const one = rig();
    expectGolden(await runAll(one, 'a', false), false);
    const again = await runAll(one, 'b', false);
    expectGolden(again, false);
    expect(again.map(({ responses }) => responses[0]!.cachedTokens)).toEqual(
      prompts.map(({ length }) => Math.floor((length - 1) / blockSize) * blockSize),
    );
    expectGolden(await runAll(one, 'c', true), true);
    await one.engine.stop();
  });

  it('after preemptions', async () => {
    // Blocks for the prompts and one more per sequence, which is what admission leaves free, but not for all the output.
    const promptBlocks = prompts.map(({ length }) => Math.ceil(length / blockSize));
    const kvBlocks = Math.max(maxModelLen / blockSize, promptBlocks.reduce((sum, blocks) => sum + blocks, 0) + 2);
    const one = rig({}, kvBlocks);
    expectGolden(await runAll(one, 'a', true), true);
    expect(one.engine.snapshot().preemptions).toBeGreaterThan(0);
    await one.engine.stop();
  });

  it('with two micro-batches in flight', async () => {
    const one = rig({ maxInFlight: 2, maxBatchedTokens: 16 });
    expectGolden(await runAll(one, 'a', true), true);
    await one.engine.stop();
  });

  it('gives the same random tokens alone, among others, as one of n, and when resumed', async () => {
    const one = rig();
    const prompt = prompts[0]!;
    const limits = { maxTokens: count, ignoreEos: true };
    const sampling = { temperature: 1, seed: '7', repetitionPenalty: 1.2, frequencyPenalty: 0.3 };
    const run = (id: string, n = 1, resumed: readonly (readonly number[])[] = []): Promise<Collected> => {
      const outputTokenIds = resumed.map((ids) => ({ ids: [...ids] }));
      return collect(
        one.engine.run(runRequest(id, prompt, limits, sampling, { n, outputTokenIds }), never),
        collected(n),
      );
    };
    const alone = (await run('alone')).tokens[0]!;
    const [among, many] = await Promise.all([run('among'), run('many', 3), runAll(one, 'a', false)]);
    expect(among.tokens).toEqual([alone]);
    expect(many.tokens[0]).toEqual(alone);
    expect(new Set(many.tokens.map(String)).size).toBe(3);
    const resumed = await run(
      'resumed',
      3,
      many.tokens.map((tokens, i) => tokens.slice(0, 3 + i)),
    );
    expect(resumed.tokens).toEqual(many.tokens.map((tokens, i) => tokens.slice(3 + i)));
    await one.engine.stop();
  });

  it('computes with every sampling parameter at the ends of its range', async () => {
    const one = rig();
    const bias = (value: number) => ({ logitBias: Object.fromEntries(prompts[0]!.map((id) => [id, value])) });
    const ends = [
      ...[1e-45, 1e-6, 1e6].map((temperature) => ({ temperature })),
      ...[1e-30, 1].map((topP) => ({ topP })),
      ...[0, 1].map((minP) => ({ minP })),
      ...[1, 2 ** 31 - 1].map((topK) => ({ topK })),
      ...[1e-6, 1e6].flatMap((repetitionPenalty) => [{ repetitionPenalty }, { repetitionPenalty, temperature: 1e-45 }]),
      ...[-1e6, 1e6].flatMap((end) => [{ presencePenalty: end }, { frequencyPenalty: end }, bias(end)]),
      ...[-1, 1].map((sign) => ({
        ...bias(sign * 1e6),
        ...{ temperature: 1e-45, repetitionPenalty: 1e-6, presencePenalty: sign * 1e6, frequencyPenalty: sign * 1e6 },
      })),
    ];
    const results = await Promise.all(
      ends.map((sampling, i) => {
        const request = runRequest(
          `r${i}`,
          prompts[0]!,
          { maxTokens: 8, ignoreEos: true },
          { temperature: 1, ...sampling },
        );
        return collect(one.engine.run(request, never), collected(1));
      }),
    );
    const failed = ends.filter((_, i) => results[i]!.reasons[0] !== 'FINISH_REASON_LENGTH');
    expect(failed).toEqual([]);
    await one.engine.stop();
  });
});

describe('a thousand requests whose clients leave', () => {
  it('leave no block behind', async () => {
    const folder = goldenFolder('qwen3_moe');
    const { spec } = await compileModel(folder);
    const limits = () => ({ kvBlocks: 64, blockSize, stateSlots: 0 });
    const options = {
      native,
      directory: folder,
      spec,
      weights: 'f32',
      threads: 1,
      isa: null,
      onProgress: null,
    } as const;
    const executor = await createLocalExecutor({ ...options, limits });
    const engine = createEngine({
      executor,
      model: { vocabSize: spec.vocabSize, eosTokenIds: [] },
      limits: { maxModelLen, maxSequences: 8, maxWaiting: 1000 },
    });
    const client = async (id: number): Promise<void> => {
      const abort = new AbortController();
      const prompt = Array.from({ length: 1 + (id % 40) }, (_, i) => (i * (1 + (id % 3))) % spec.vocabSize);
      const run = engine.run(runRequest(`r${id}`, prompt, {}, {}, { n: 1 + (id % 2) }), abort.signal);
      // Some leave before anything comes, the others after a few responses; by signal, or by reading no more.
      const byReturn = id % 3 === 0;
      if (id % 5 === 0) setImmediate(() => (byReturn ? void run.return() : abort.abort()));
      let left = id % 4;
      let reason = '';
      for await (const { finishReason } of run) {
        reason = finishReason;
        if (left-- > 0) continue;
        if (byReturn) return;
        abort.abort();
      }
      if (!byReturn) expect(reason).toBe('FINISH_REASON_CANCELLED');
    };
    for (let first = 0; first < 1000; first += 50) {
      await Promise.all(Array.from({ length: 50 }, (_, i) => client(first + i)));
    }
    await engine.close(10_000);
    expect(engine.snapshot()).toMatchObject({ running: 0, waiting: 0, held: 0, kvBlocksUsed: 0 });
    executor.close();
  });
});

function expectClose(values: readonly number[], expected: readonly number[]): void {
  expect(values.length).toBe(expected.length);
  for (const [i, value] of values.entries()) expect(Math.abs(value - expected[i]!)).toBeLessThan(tolerance);
}

// A model with states of fixed size through the scheduler and the native engine, against a plain loop over its tokens.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compileModel } from '../../../controller/model/compile.ts';
import { loadNative } from '../../../native/load.ts';
import type { Isa } from '../../../native/native.ts';
import type { ModelSpec } from '../../../proto/messages.ts';
import { createEngine, type Engine } from '../../../worker/engine/engine.ts';
import type { EngineLimits } from '../../../worker/engine/request/limits.ts';
import type { ExecutorLimits, StepExecutor } from '../../../worker/engine/step/executor.ts';
import { createLocalExecutor, type LocalExecutor } from '../../../worker/stage/local-executor.ts';
import { goldenFolder, readGoldens } from '../../e2e/golden.ts';
import { withRunningSums } from '../../unit/controller/model/running-sums.ts';
import { type Collected, collect, collected, runRequest } from '../../unit/worker/engine/run-request.ts';
import { PlainModel } from './plain-model.ts';

const native = loadNative();
const directory = goldenFolder('llama');
const prompts = readGoldens('llama').map(({ prompt }) => prompt);
const count = 20;
const size = { kvBlocks: 128, blockSize: 4, stateSlots: 5 };
const never = new AbortController().signal;

let spec: ModelSpec;
let expected: readonly number[][];
let executor: LocalExecutor;

function open(isa: Isa | null): Promise<LocalExecutor> {
  const limits = () => size;
  return createLocalExecutor({ native, directory, spec, weights: 'f32', threads: 2, isa, limits, onProgress: null });
}

beforeAll(async () => {
  spec = withRunningSums((await compileModel(directory)).spec, [0, 2]);
  const plain = new PlainModel(directory, spec);
  expected = prompts.map((prompt) => plain.continuation(prompt, count));
  executor = await open(null);
});
afterAll(() => executor?.close());

function engineOf(limits: Partial<EngineLimits> = {}, given: Partial<StepExecutor> = {}): Engine {
  return createEngine({
    executor: { limits: size, execute: (batch) => executor.execute(batch), ...given },
    model: { vocabSize: spec.vocabSize, eosTokenIds: spec.eosTokenIds },
    limits: { maxModelLen: 96, maxSequences: 5, maxBatchedTokens: 512, ...limits },
  });
}

/** Runs all prompts at once, `n` sequences of each. */
function runAll(engine: Engine, tag: string, n = 1): Promise<Collected[]> {
  return Promise.all(
    prompts.map((prompt, i) => {
      const request = runRequest(`${tag}${i}`, prompt, { maxTokens: count, ignoreEos: true }, {}, { n });
      return collect(engine.run(request, never), collected(n));
    }),
  );
}

function expectPlain(results: readonly Collected[]): void {
  expect(results.map(({ tokens }) => tokens)).toEqual(results.map(({ tokens }, i) => tokens.map(() => expected[i])));
}

describe('a model with states gives the tokens of a plain loop', () => {
  it('which depend on the prompt', () => {
    expect(new Set(expected.map(String)).size).toBe(prompts.length);
    expect(expected.every((tokens) => new Set(tokens).size > 1)).toBe(true);
  });

  it.each([...native.hardware().isas, 'reference'] as const)('with the kernels of %s', async (isa) => {
    const own = await open(isa);
    const engine = engineOf({}, { execute: (batch) => own.execute(batch) });
    expectPlain(await runAll(engine, isa));
    await engine.stop();
    own.close();
  });

  it.each([
    ['prompts in chunks beside sequences that decode', { maxBatchedTokens: 7 }],
    ['two steps in flight', { maxInFlight: 2, maxBatchedTokens: 16 }],
  ])('with %s', async (_, limits) => {
    const engine = engineOf(limits);
    expectPlain(await runAll(engine, 'a'));
    await engine.stop();
  });

  it('when prompts come again: a state cannot be found again, so that they are computed again', async () => {
    const engine = engineOf();
    expectPlain(await runAll(engine, 'a'));
    const again = await runAll(engine, 'b');
    expectPlain(again);
    expect(again.map(({ responses }) => responses[0]!.cachedTokens)).toEqual(prompts.map(() => 0));
    await engine.stop();
  });

  it('with more sequences of a request than there are slots', async () => {
    const engine = engineOf({ maxSequences: 16 });
    expectPlain(await runAll(engine, 'a', 4));
    await engine.stop();
  });

  it('after preemptions, which take states away', async () => {
    const blocks = prompts.reduce((sum, { length }) => sum + Math.ceil(length / size.blockSize), 0);
    const limits: ExecutorLimits = { ...size, kvBlocks: Math.max(24, blocks + 2) };
    const engine = engineOf({}, { limits });
    expectPlain(await runAll(engine, 'a'));
    expect(engine.snapshot().preemptions).toBeGreaterThan(0);
    await engine.stop();
  });

  it('after steps that fail once they have changed the states', async () => {
    let steps = 0;
    const engine = engineOf(
      { maxBatchedTokens: 16 },
      {
        execute: async (batch) => {
          const output = await executor.execute(batch);
          if (++steps % 5 === 0) throw Object.assign(new Error('too late'), { code: 'PEER_LOST' });
          return output;
        },
      },
    );
    expectPlain(await runAll(engine, 'a'));
    expect(steps).toBeGreaterThan(10);
    await engine.stop();
  });
});

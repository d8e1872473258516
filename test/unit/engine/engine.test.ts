import { describe, expect, it } from 'vitest';
import { createEngine, type Engine, type EngineOptions } from '../../../worker/engine/engine.ts';
import { HistoryExecutor, nextToken } from './history-executor.ts';
import { collect, collected, runRequest } from './run-request.ts';

const vocabSize = 97;
const eos = 5;

interface Rig {
  readonly engine: Engine;
  readonly executor: HistoryExecutor;
  /** Computes steps until none is started any more. */
  settle(): Promise<void>;
}

function rig(limits: Partial<EngineOptions['limits']> = {}, blocks = 64, blockSize = 4): Rig {
  const executor = new HistoryExecutor({ kvBlocks: blocks, blockSize }, vocabSize);
  const engine = createEngine({
    executor,
    model: { vocabSize, eosTokenIds: [eos] },
    limits: { maxModelLen: 64, maxSequences: 8, maxBatchedTokens: 16, ...limits },
    salt: 1,
  });
  const settle = async (): Promise<void> => {
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve));
      const step = executor.pending[0];
      if (step === undefined) return;
      step.succeed();
    }
  };
  return { engine, executor, settle };
}

/** What the "model" generates alone. */
function reference(prompt: readonly number[], count: number, seed = 0, sequenceIndex = 0): number[] {
  const history = [...prompt];
  while (history.length < prompt.length + count) history.push(nextToken(history, seed, sequenceIndex, vocabSize));
  return history.slice(prompt.length);
}

const never = new AbortController().signal;

describe('a request', () => {
  it('gets the tokens that the model generates', async () => {
    const { engine, executor, settle } = rig();
    const prompt = [1, 2, 3, 4, 6, 7, 8, 9, 10];
    const result = collect(
      engine.run(runRequest('a', prompt, { maxTokens: 10, ignoreEos: true }), never),
      collected(1),
    );
    await settle();
    const { tokens, reasons } = await result;
    expect(tokens).toEqual([reference(prompt, 10)]);
    expect(reasons).toEqual(['FINISH_REASON_LENGTH']);
    expect(executor.violation).toBeNull();
    expect(engine.snapshot()).toMatchObject({ running: 0, waiting: 0, held: 0, kvBlocksUsed: 0 });
  });
});

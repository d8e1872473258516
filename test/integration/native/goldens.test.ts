import { describe, expect, test } from 'vitest';
import { loadNative } from '../../../native/load.ts';
import { goldenFolder, readGoldens } from '../../e2e/golden.ts';
import { localRun, openModel, type Scores, score } from './model.ts';

const native = loadNative();
const families = ['mixtral', 'mixtral_swa', 'qwen2_moe', 'qwen3_moe', 'olmoe', 'llama', 'mistral', 'qwen2', 'qwen3'];
const { isas } = native.hardware();

/** Largest difference of two lists of log-probabilities. */
function difference(a: readonly number[], b: readonly number[]): number {
  expect(a.length).toBe(b.length);
  return Math.max(0, ...a.map((value, index) => Math.abs(value - (b[index] ?? Number.NaN))));
}

// An f32 run and its reference add up the same products in different orders. The required bound is 1e-3; the logits
// here are of order 10, so f32 rounding over a few layers leaves well under a tenth of that.
const tolerance = 1e-4;

describe.each(families)('%s', (family) => {
  const goldens = readGoldens(family);
  const prompts = goldens.map(({ prompt }) => prompt);

  function expectGolden(scores: readonly Scores[]): void {
    scores.forEach((result, index) => {
      const golden = goldens[index];
      if (golden === undefined) throw new Error('more results than goldens');
      expect(difference(result.logprobs, golden.promptLogprobs)).toBeLessThan(tolerance);
      expect(result.likeliest).toEqual(golden.likeliest);
      if (result.continuation.length === 0) return;
      expect(result.continuation).toEqual(golden.continuation);
      expect(difference(result.continuationLogprobs, golden.continuationLogprobs)).toBeLessThan(tolerance);
    });
  }

  test.each(isas)('f32 on %s gives the reference log-probabilities and greedy tokens', async (isa) => {
    const model = await openModel(native, goldenFolder(family), { isa });
    try {
      for (const [index, prompt] of prompts.entries()) {
        const [result] = await score(localRun(model.stage), [prompt], undefined, 20);
        if (result === undefined) throw new Error('no result');
        expect(difference(result.logprobs, goldens[index]?.promptLogprobs ?? [])).toBeLessThan(tolerance);
        expect(result.continuation).toEqual(goldens[index]?.continuation);
        expect(difference(result.continuationLogprobs, goldens[index]?.continuationLogprobs ?? [])).toBeLessThan(tolerance);
      }
    } finally {
      model.close();
    }
  });

  test.each(isas)('a batch, and prefill in chunks of 7, give bitwise the same on %s', async (isa) => {
    const model = await openModel(native, goldenFolder(family), { isa });
    try {
      const run = localRun(model.stage);
      const alone: Scores[] = [];
      for (const prompt of prompts) alone.push(...(await score(run, [prompt], undefined, 20)));
      const batch = await score(run, prompts, undefined, 20);
      expectGolden(batch);
      expect(batch).toEqual(alone);
      expect(await score(run, prompts, 7, 20)).toEqual(alone);
      expect(await score(run, prompts, 1, 20)).toEqual(alone);
    } finally {
      model.close();
    }
  });

  test.each(['bf16', 'q8'] as const)('%s agrees with the reference on the likeliest token', async (weights) => {
    const likeliest = goldens.flatMap((golden) => golden.likeliest);
    for (const isa of isas) {
      const model = await openModel(native, goldenFolder(family), { isa, weights });
      try {
        const scores = await score(localRun(model.stage), prompts);
        const got = scores.flatMap((result) => result.likeliest);
        const agreement = got.filter((token, index) => token === likeliest[index]).length / likeliest.length;
        // 74 positions: bf16 keeps all but at most one where two tokens are nearly tied; int8 rounds more coarsely.
        expect(agreement, isa).toBeGreaterThanOrEqual(weights === 'bf16' ? 0.98 : 0.9);
      } finally {
        model.close();
      }
    }
  });
});

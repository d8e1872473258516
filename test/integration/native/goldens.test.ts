import { describe, expect, test } from 'vitest';
import { loadNative } from '../../../native/load.ts';
import { weightsFormats } from '../../../proto/weights-formats.ts';
import { decidedPositions, goldenFolder, largestNoise, noiseOf, readGoldens } from '../../e2e/golden.ts';
import { blockSize, keepsState, localRun, openModel, type Scores, score, stepBatch } from './model.ts';
import { traceAll } from './trace.ts';

const native = loadNative();
// Their choices of experts, if any, stay the same when weights are rounded, or change visibly.
const roundable = [
  'mixtral',
  'mixtral_swa',
  'qwen2_moe',
  'qwen3_moe',
  'olmoe',
  'ernie4_5_moe',
  'llama',
  'mistral',
  'qwen2',
  'qwen3',
  'gemma2',
  'cohere',
  'cohere2',
];
const families = [
  ...roundable,
  'afmoe',
  'cohere2_moe',
  'cohere2_moe_softmax',
  'dbrx',
  'deepseek_v2_options',
  'deepseek_v3_groups',
  'deepseek_v3_half',
  'deepseek_v3_odd',
  'deepseek_v4',
  'dots1',
  'ernie_interval',
  'exaone_moe',
  'flex_olmo',
  'gemma3',
  'glm4_moe_lite',
  'glm4_moe_groups',
  'gpt_oss_full',
  'granitehybrid_groups',
  'granitemoe_bias',
  'granitemoe_swa',
  'hunyuan_plain',
  'hy_v3',
  'kimi_k25',
  'llama_mlp_bias',
  'llama4_full',
  'minimax_m2_full',
  'ministral3',
  'mistral4_groups',
  'mistral4_hub',
  'olmo2',
  'olmo3',
  'phi3',
  'phimoe_plain',
  'qwen3_5',
  'qwen3_next_wide',
  'qwen3_vl_moe',
  'seed_oss',
  'smollm3',
  'solar_open',
];
const { isas } = native.hardware();

/** Largest difference of two lists of log-probabilities. */
function difference(a: readonly number[], b: readonly number[]): number {
  expect(a.length).toBe(b.length);
  return Math.max(0, ...a.map((value, index) => Math.abs(value - (b[index] ?? Number.NaN))));
}

// An f32 run and its reference add up the same products in different orders. The required bound is 1e-3; the logits
// here are of order 10, so f32 rounding over a few layers leaves well under a tenth of that.
const tolerance = 1e-4;

test('the addon knows the weight formats by the names that options and plans have', () => {
  expect(native.hardware().weightsFormats).toEqual(weightsFormats);
});

describe.each(families)('%s', (family) => {
  const goldens = readGoldens(family);
  const prompts = goldens.map(({ prompt }) => prompt);

  function expectGolden(scores: readonly Scores[]): void {
    scores.forEach((result, index) => {
      const golden = goldens[index];
      if (golden === undefined) throw new Error('more results than goldens');
      expect(difference(result.logprobs, golden.promptLogprobs)).toBeLessThan(tolerance);
      expect(result.likeliest).toEqual(golden.likeliest.slice(0, golden.prompt.length));
      if (result.continuation.length === 0) return;
      expect(result.continuation).toEqual(golden.continuation);
      expect(difference(result.continuationLogprobs, golden.continuationLogprobs)).toBeLessThan(tolerance);
    });
  }

  test.each([...isas, 'reference'] as const)(
    'f32 on %s gives the reference log-probabilities and greedy tokens',
    async (isa) => {
      const model = await openModel(native, goldenFolder(family), { isa });
      try {
        for (const [index, prompt] of prompts.entries()) {
          const [result] = await score(localRun(model.stage), [prompt], undefined, 20, keepsState(model.spec));
          if (result === undefined) throw new Error('no result');
          expect(difference(result.logprobs, goldens[index]?.promptLogprobs ?? [])).toBeLessThan(tolerance);
          expect(result.continuation).toEqual(goldens[index]?.continuation);
          expect(difference(result.continuationLogprobs, goldens[index]?.continuationLogprobs ?? [])).toBeLessThan(
            tolerance,
          );
        }
      } finally {
        model.close();
      }
    },
  );

  test.each(isas)('a batch, and prefill in chunks of 7, give bitwise the same on %s', async (isa) => {
    const model = await openModel(native, goldenFolder(family), { isa });
    try {
      const run = localRun(model.stage);
      const state = keepsState(model.spec);
      const alone: Scores[] = [];
      for (const prompt of prompts) alone.push(...(await score(run, [prompt], undefined, 20, state)));
      const batch = await score(run, prompts, undefined, 20, state);
      expectGolden(batch);
      expect(batch).toEqual(alone);
      expect(await score(run, prompts, 7, 20, state)).toEqual(alone);
      expect(await score(run, prompts, 1, 20, state)).toEqual(alone);
    } finally {
      model.close();
    }
  });
});

describe.each(weightsFormats)('in %s', (weights) => {
  const prompts = readGoldens('qwen3_moe').map(({ prompt }) => prompt);

  test('any number of threads gives bitwise the same', async () => {
    const results: (readonly Scores[])[] = [];
    for (const threads of [1, 2, 5]) {
      const model = await openModel(native, goldenFolder('qwen3_moe'), { weights, threads });
      results.push(await score(localRun(model.stage), prompts, 9, 8));
      model.close();
    }
    expect(results[1]).toEqual(results[0]);
    expect(results[2]).toEqual(results[0]);
  });

  test('a prefix that another sequence has left in the cache gives bitwise the same', async () => {
    const model = await openModel(native, goldenFolder('qwen3_moe'), { weights });
    try {
      const run = localRun(model.stage);
      const [text = []] = prompts;
      const shared = 3 * blockSize;
      const tail = text.slice(shared);
      const wanted = tail.map((_, row) => ({ position: shared + row, target: text[shared + row + 1] ?? null }));
      const own = [20, 21, 22, 23, 24];
      const alone = await run(
        stepBatch([{ tokens: text, begin: 0, end: text.length, blocks: [0, 1, 2, ...own], wanted }]),
      );
      const other = [...text.slice(0, shared), 7, 8, 9];
      await run(stepBatch([{ tokens: other, begin: 0, end: other.length, blocks: [40, 41, 42, 43], wanted: [] }]));
      const blocks = [40, 41, 42, 30, 31, 32, 33, 34];
      const reused = await run(stepBatch([{ tokens: text, begin: shared, end: text.length, blocks, wanted }]));
      expect(reused).toEqual(alone);
    } finally {
      model.close();
    }
  });
});

const { extensions } = native.hardware();
const paths = [
  ...isas,
  'portable-bf16' as const,
  ...(isas.includes('avx512') && extensions.includes('avx512_bf16') ? (['avx512-bf16'] as const) : []),
];
const missing = paths.includes('avx512-bf16') ? '' : ' (no avx512-bf16 here)';

describe(`the likeliest token is that of the reference wherever rounding cannot change it${missing}`, () => {
  // A choice of experts is no smooth function: where two are nearly tied, rounding may choose the other, and what a later
  // position reads of this one changes with it. So a text counts up to the first position with other experts than in f32.
  const least = { bf16: 0.3, q8: 0.05 };

  test.each(paths.flatMap((isa) => (['bf16', 'q8'] as const).map((weights) => ({ isa, weights }))))(
    'on $isa in $weights',
    async ({ isa, weights }) => {
      let [counted, positions] = [0, 0];
      for (const family of roundable) {
        const exact = await traceAll(native, family, { weights: 'f32' });
        const rounded = await traceAll(native, family, { isa, weights });
        for (const [index, golden] of readGoldens(family).entries()) {
          const [reference, found] = [exact[index], rounded[index]];
          expect(found?.likeliest).toHaveLength(golden.likeliest.length);
          const other = golden.likeliest.findIndex((_, at) => found?.experts[at] !== reference?.experts[at]);
          const same = other < 0 ? golden.likeliest.length : other;
          const noise = noiseOf(golden, found?.logprobs ?? [], same);
          expect(noise, `${family}, prompt ${index}`).toBeLessThan(largestNoise[weights]);
          const decided = decidedPositions(golden, weights).filter((position) => position < same);
          const changed = decided.filter((position) => found?.likeliest[position] !== golden.likeliest[position]);
          expect(changed, `${family}, prompt ${index}`).toEqual([]);
          counted += decided.length;
          positions += golden.likeliest.length;
        }
      }
      expect(counted / positions).toBeGreaterThan(least[weights]);
    },
  );
});

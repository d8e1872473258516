import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadNative } from '../../../native/load.ts';
import { noiseOf, readGoldens } from '../../e2e/golden.ts';
import { localRun, openModel, score } from './model.ts';

const native = loadNative();
const { isas } = native.hardware();

/**
 * What int8 activations and, of what a checkpoint leaves as numbers, int8 weights may add, as a root mean square in standard
 * deviations of the logits: as much as q8, of which 0.035 to 0.065 were measured on such models (here 0.03 to 0.12).
 */
const largestNoise = 0.2;

describe.each(['awq_llama', 'gptq_llama_all', 'gguf_mixtral_q4_0', 'gguf_gpt_oss_mxfp4'])('%s', (name) => {
  const folder = join(import.meta.dirname, '../../fixtures/quantised', name);
  const goldens = readGoldens(folder);
  const prompts = goldens.map(({ prompt }) => prompt);
  const path = existsSync(join(folder, 'model.gguf')) ? join(folder, 'model.gguf') : folder;

  test.each([...isas, 'reference'] as const)('f32 on %s gives the results of its numbers', async (isa) => {
    const model = await openModel(native, path, { isa });
    try {
      const results = await score(localRun(model.stage), prompts, 7, 20);
      for (const [index, { logprobs, continuation }] of results.entries()) {
        const golden = goldens[index]!;
        const errors = logprobs.map((value, at) => Math.abs(value - (golden.promptLogprobs[at] ?? Number.NaN)));
        expect(Math.max(...errors)).toBeLessThan(1e-3);
        expect(continuation).toEqual(golden.continuation);
      }
    } finally {
      model.close();
    }
  });

  test.each(isas)(
    'q4 on %s gives the same bits alone and in a batch, close to the results of its numbers',
    async (isa) => {
      const model = await openModel(native, path, { isa, weights: 'q4' });
      try {
        const together = await score(localRun(model.stage), prompts, 7, 0);
        for (const [index, prompt] of prompts.entries()) {
          const [alone] = await score(localRun(model.stage), [prompt], undefined, 0);
          expect(alone?.logprobs).toEqual(together[index]?.logprobs);
          expect(noiseOf(goldens[index]!, alone!.logprobs, alone!.logprobs.length)).toBeLessThan(largestNoise);
        }
      } finally {
        model.close();
      }
    },
  );
});

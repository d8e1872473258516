import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadNative } from '../../../native/load.ts';
import { goldenFolder, largestNoise, noiseOf, readGoldens } from '../../e2e/golden.ts';
import { keepsState, localRun, type OpenOptions, openModel, type Run, type Scores, score } from './model.ts';

// The kernels of GPUs, compiled for the CPU: `npm run test:native` builds them.
const library = new URL('../../../native/build/conclave_cuda_emulated.so', import.meta.url);
const missing = existsSync(library) ? '' : ' (skipped: npm run test:native builds conclave_cuda_emulated.so)';

const native = loadNative();
const device = 'cuda-emulated:0';
const families = readdirSync(goldenFolder('')).filter((name) => existsSync(`${goldenFolder(name)}/golden.safetensors`));
// Each kind of attention, norm, gate, cache and recurrence once.
const kinds = [
  'qwen3_moe',
  'mixtral_swa',
  'gpt_oss_full',
  'deepseek_v3_groups',
  'gemma3',
  'llama4_full',
  'cohere2_moe',
  'phimoe_plain',
  'granitehybrid_groups',
  'qwen3_next_wide',
  'deepseek_v32',
  'deepseek_v4',
  'minimax_m3',
  'jamba',
  'kimi_linear',
  'longcat_flash',
  'gemma4_e',
  'nemotron_h_latent',
];
// Without experts, whose choice rounding may change.
const dense = ['llama', 'qwen3', 'gemma2'];

// Checkpoints of codes, by folder or file: 4 bits by groups with zeros, with and without an order of columns; blocks; MXFP4.
const coded = ['awq_llama', 'gptq_llama_all', 'gguf_mixtral_q4_0/model.gguf', 'gguf_gpt_oss_mxfp4/model.gguf'];
const codedFolder = join(import.meta.dirname, '../../fixtures/quantised');
/** As on processors, for activations of 8 bits; here they have 16. */
const largestCodedNoise = 0.2;

// The emulation takes its time: prompts are cut.
const prompts = (family: string) => readGoldens(family).map(({ prompt }) => prompt.slice(0, 24));

async function run<T>(
  family: string,
  options: OpenOptions,
  body: (run: Run, state: boolean) => Promise<T>,
): Promise<T> {
  const model = await openModel(native, goldenFolder(family), { device, ...options });
  try {
    return await body(localRun(model.stage), keepsState(model.spec));
  } finally {
    model.close();
  }
}

describe.skipIf(missing !== '')(`kernels of GPUs, emulated${missing}`, () => {
  test.each(families)('%s in f32 gives the reference log-probabilities and likeliest tokens', async (family) => {
    const scores = await run(family, {}, (step, state) => score(step, prompts(family), 7, 0, state));
    for (const [index, golden] of readGoldens(family).entries()) {
      const { logprobs = [], likeliest } = scores[index] ?? {};
      const errors = logprobs.map((value, at) => Math.abs(value - (golden.promptLogprobs[at] ?? Number.NaN)));
      expect(Math.max(...errors)).toBeLessThan(1e-3);
      expect(likeliest).toEqual(golden.likeliest.slice(0, Math.min(24, golden.prompt.length)));
    }
  });

  test.each(kinds)('%s in bf16 gives a sequence the same bits alone, in a batch and in chunks', async (family) => {
    await run(family, { weights: 'bf16' }, async (step, state) => {
      const alone: Scores[] = [];
      for (const prompt of prompts(family)) alone.push(...(await score(step, [prompt], undefined, 2, state)));
      expect(await score(step, prompts(family), undefined, 2, state)).toEqual(alone);
      expect(await score(step, prompts(family), 7, 2, state)).toEqual(alone);
    });
  });

  test.each(dense.flatMap((family) => (['bf16', 'q8'] as const).map((weights) => ({ family, weights }))))(
    '$family in $weights errs no more than rounding may',
    async ({ family, weights }) => {
      const scores = await run(family, { weights }, (step, state) => score(step, prompts(family), 7, 0, state));
      for (const [index, golden] of readGoldens(family).entries()) {
        const logprobs = scores[index]?.logprobs ?? [];
        expect(noiseOf(golden, logprobs, logprobs.length)).toBeLessThan(largestNoise[weights]);
      }
    },
  );

  test.each(coded)(
    '%s keeps its codes in q4, with the results of its numbers and the same bits in any company',
    async (name) => {
      const path = join(codedFolder, name);
      const folder = name.endsWith('.gguf') ? dirname(path) : path;
      const texts = prompts(folder);
      const bytes = new Map<string, number>();
      for (const weights of ['f32', 'q4'] as const) {
        const model = await openModel(native, path, { device, weights });
        try {
          const state = keepsState(model.spec);
          const scores = await score(localRun(model.stage), texts, 7, 0, state);
          for (const [index, golden] of readGoldens(folder).entries()) {
            const logprobs = scores[index]?.logprobs ?? [];
            const errors = logprobs.map((value, at) => Math.abs(value - (golden.promptLogprobs[at] ?? Number.NaN)));
            if (weights === 'f32') expect(Math.max(...errors)).toBeLessThan(1e-3);
            else expect(noiseOf(golden, logprobs, logprobs.length)).toBeLessThan(largestCodedNoise);
          }
          const [alone] = await score(localRun(model.stage), texts.slice(1, 2), undefined, 0, state);
          expect(alone?.logprobs).toEqual(scores[1]?.logprobs);
          bytes.set(weights, model.stage.weightBytes);
        } finally {
          model.close();
        }
      }
      expect(bytes.get('q4')).toBeLessThan(0.5 * (bytes.get('f32') ?? 0));
    },
  );
});

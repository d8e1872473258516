/** Families whose operators goldens.test.ts does not follow in other formats than f32. */
import { describe, expect, test } from 'vitest';
import { loadNative } from '../../../native/load.ts';
import { noiseOf, readGoldens } from '../../e2e/golden.ts';
import { traceAll } from './trace.ts';

const native = loadNative();

/**
 * As largestNoise in golden.ts, where bf16 and q8 may have half as much again: these models have more roundings one behind the
 * other, in recurrences and gates. q4 rounds to 1/7 of the largest of 32 elements, 18 times as coarsely as q8; numbers that
 * have nothing to do with each other differ by 1.41.
 */
const bounds = { bf16: 0.1, q8: 0.3, q4: 1 } as const;

describe.each([
  'bailing_hybrid',
  'deepseek_v32',
  'gemma4_e',
  'gemma4_moe',
  'glm4',
  'glm_moe_dsa_shared',
  'jamba',
  'kimi_linear',
  'laguna',
  'lfm2',
  'lfm2_moe',
  'longcat_flash',
  'mimo_v2_flash',
  'minimax_m3',
  'nemotron_h',
  'nemotron_h_latent',
])('%s', (family) => {
  test('is close to its reference in every format, as long as the same experts are chosen', async () => {
    const exact = await traceAll(native, family, { weights: 'f32' });
    for (const weights of ['bf16', 'q8', 'q4'] as const) {
      const rounded = await traceAll(native, family, { weights });
      // Over all texts: a text alone may take other experts from its first positions on.
      const errors = readGoldens(family).map((golden, index) => {
        const [reference, found] = [exact[index]!, rounded[index]!];
        expect(found.logprobs.every(Number.isFinite)).toBe(true);
        const other = reference.experts.findIndex((experts, at) => experts !== found.experts[at]);
        const count = other < 0 ? found.logprobs.length : other;
        return { count, squares: count * noiseOf(golden, found.logprobs, count) ** 2 };
      });
      const count = errors.reduce((sum, error) => sum + error.count, 0);
      const squares = errors.reduce((sum, error) => sum + error.squares, 0);
      expect(Math.sqrt(squares / Math.max(1, count)), weights).toBeLessThan(bounds[weights]);
    }
  });
});

// How fast does the native engine prefill and decode, beside what the machine's memory and arithmetic allow?
import { loadNative } from '../native/load.ts';
import { decodeSteps, ModelBench, type ModelCase, promptTokens } from './engine/model-bench.ts';
import { type BenchRow, publish, rounded } from './report.ts';

const seed = 0;
const models: readonly ModelCase[] = [
  { shape: 'moe-1b7', contextTokens: 128, sequenceCounts: [1, 8, 16] },
  { shape: 'latent-1b', contextTokens: 2048, sequenceCounts: [1, 8] },
];

const native = loadNative();
const rows: BenchRow[] = [];
for (const model of models) {
  const bench = await ModelBench.of(native, model, seed);
  for (const weights of ['bf16', 'q8', 'q4'] as const) rows.push(...(await bench.run(weights)));
}
const speed = (work: string): number => Number(rows.find((row) => row['work'] === work)?.['tokens/s']);
publish({
  name: 'engine',
  question:
    'How fast does the native engine prefill and decode models of two kinds of attention, beside the limits of the machine?',
  conditions: {
    models: models.map(({ shape }) => shape).join(', '),
    threads: native.hardware().cpus,
    isa: native.hardware().isa,
    'tokens of context at decode': models.map(({ contextTokens }) => contextTokens).join(', '),
    'tokens of a prefill': promptTokens,
    'steps per decode case': decodeSteps,
  },
  seed,
  rows,
  notes: [
    'The limit of decode is the bytes of weights, of the experts that the step used, and of the cache, over the measured read bandwidth; that of prefill its multiply-adds over the measured rate of f32 (q8, q4: int8) instructions.',
    'latent-1b has attention over latents: every head multiplies the same cached rows, so that its decode is bound by arithmetic as well.',
    `bf16, 16 sequences against 1: ${rounded(speed('decode, 16 sequences') / speed('decode, 1 sequences'))} times the tokens per second.`,
  ],
});

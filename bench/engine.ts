// How fast does the native engine prefill and decode, beside what the machine's memory and arithmetic allow?
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compileModel } from '../controller/model/compile.ts';
import { synthesise } from '../controller/model/synth/synth.ts';
import { loadNative } from '../native/load.ts';
import type { MachineLimits } from '../native/native.ts';
import { expertOf } from '../proto/model/experts.ts';
import { moeOf } from '../proto/model/operators.ts';
import { ffnWeights, modelWeights, type Weight } from '../proto/model/weights.ts';
import type { WeightsFormat } from '../proto/weights-formats.ts';
import { createLocalExecutor, type LocalExecutor } from '../worker/stage/local-executor.ts';
import { makeStep, type Rows } from './engine/steps.ts';
import { type BenchRow, publish, rounded, spread } from './report.ts';

const shape = 'moe-1b7';
const seed = 0;
const promptTokens = 512;
const contextTokens = 128;
const decodeSteps = 32;
const prefillRuns = 5;
const sequenceCounts = [1, 8, 16];
const blockSize = 16;
const blocksPerSequence = (promptTokens + blockSize) / blockSize;
const kvBlocks = Math.max(...sequenceCounts) * blocksPerSequence;

const native = loadNative();
const threads = native.hardware().cpus;
const directory = join(tmpdir(), `conclave-bench-${shape}`);
if (!existsSync(join(directory, 'config.json'))) {
  console.error(`writing a ${shape} checkpoint to ${directory}`);
  await synthesise(shape, directory, { seed });
}
const { spec } = await compileModel(directory);

let state = seed;
/** A fixed sequence of tokens that looks random. */
function randomToken(): number {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state % spec.vocabSize;
}

async function open(weights: WeightsFormat): Promise<LocalExecutor> {
  console.error(`loading ${weights}`);
  const limits = () => ({ kvBlocks, blockSize, stateSlots: 0 });
  return createLocalExecutor({ native, directory, spec, weights, threads, isa: null, limits, onProgress: null });
}

/** Seconds of a step. */
async function timeStep({ handles }: LocalExecutor, rows: readonly Rows[]): Promise<number> {
  const batch = makeStep(rows, { blockSize, blocksPerSequence }, randomToken);
  const started = performance.now();
  await handles.stage.begin(batch);
  return (performance.now() - started) / 1000;
}

/** Distinct experts over all layers since the last call, and rows that went to experts. */
function takeExperts({ handles }: LocalExecutor): { readonly distinct: number; readonly rows: number } {
  const counts = handles.stage.takeExpertRows().flatMap((layer) => [...layer]);
  return { distinct: counts.filter((count) => count > 0).length, rows: counts.reduce((sum, count) => sum + count, 0) };
}

const fastest = ({ arithmetic }: MachineLimits, kind: string): number =>
  Math.max(0, ...arithmetic.filter(({ name }) => name.startsWith(kind)).map((limit) => limit.multiplyAddsPerSecond));

/** Elements of all matrices that every row goes through, and of one expert. */
function matrixElements(): { readonly shared: number; readonly expert: number; readonly head: number } {
  const count = (weights: Iterable<Weight>) => [...weights].reduce((sum, { rows, cols }) => sum + rows * cols, 0);
  const matrices = [...modelWeights(spec)].filter(({ rows }) => rows > 1);
  const table = moeOf(spec.layers[0])?.experts;
  return {
    shared: count(matrices.filter(({ role }) => role === 'attention' || role === 'router')),
    expert: table?.count ? count(ffnWeights('experts', 'slot', expertOf(table, 0))) : 0,
    head: count(matrices.filter(({ role }) => role === 'head')),
  };
}

/** Share of the time by part, of those above one percent. */
function describeProfile(executor: LocalExecutor): string {
  const parts = Object.entries(executor.handles.stage.takeProfile());
  const total = parts.reduce((sum, [, value]) => sum + value, 0);
  return parts
    .filter(([, value]) => value > total / 100)
    .sort(([, a], [, b]) => b - a)
    .map(([part, value]) => `${part} ${Math.round((100 * value) / total)} %`)
    .join(', ');
}

async function measurePrefill(executor: LocalExecutor, weights: WeightsFormat): Promise<BenchRow> {
  const rows = [{ sequence: 0, begin: 0, count: promptTokens }];
  await timeStep(executor, rows);
  describeProfile(executor);
  takeExperts(executor);
  const limits = await native.measureLimits(executor.handles.runtime);
  const seconds: number[] = [];
  for (let run = 0; run < prefillRuns; run++) seconds.push(await timeStep(executor, rows));
  const { shared, expert, head } = matrixElements();
  const expertRows = takeExperts(executor).rows / prefillRuns;
  const multiplyAdds = shared * promptTokens + expert * expertRows + head;
  const arithmetic = fastest(limits, weights === 'q8' ? 'int8' : 'f32');
  const limit = (arithmetic / multiplyAdds) * promptTokens;
  return describe('prefill', weights, promptTokens, seconds, limit, limits, describeProfile(executor));
}

/** Takes turns between the cases, so that all see the same noise. */
async function measureDecode(executor: LocalExecutor, weights: WeightsFormat): Promise<readonly BenchRow[]> {
  const { stage, bank, runtime } = executor.handles;
  for (let sequence = 0; sequence < Math.max(...sequenceCounts); sequence++) {
    await timeStep(executor, [{ sequence, begin: 0, count: contextTokens }]);
  }
  const cases = sequenceCounts.map((sequences) => ({ sequences, seconds: [] as number[], distinct: 0, profile: '' }));
  const warmUp = 4;
  const before = await native.measureLimits(runtime);
  for (let index = 0; index < warmUp + decodeSteps; index++) {
    for (const one of cases) {
      const rows = Array.from({ length: one.sequences }, (_, sequence) => ({
        sequence,
        begin: contextTokens + index,
        count: 1,
      }));
      describeProfile(executor);
      takeExperts(executor);
      const seconds = await timeStep(executor, rows);
      if (index < warmUp) continue;
      one.seconds.push(seconds);
      one.distinct += takeExperts(executor).distinct;
      one.profile = describeProfile(executor);
    }
  }
  const after = await native.measureLimits(runtime);
  const limits = before.readBytesPerSecond > after.readBytesPerSecond ? before : after;
  return cases.map(({ sequences, seconds, distinct, profile }) => {
    const keysAndValues = (sequences * contextTokens * stage.cacheBytes) / (kvBlocks * blockSize);
    const bytes = stage.weightBytes + (distinct / decodeSteps) * (bank.bytes / bank.slotCount) + keysAndValues;
    const limit = (limits.readBytesPerSecond / bytes) * sequences;
    return describe(`decode, ${sequences} sequences`, weights, sequences, seconds, limit, limits, profile);
  });
}

function describe(
  work: string,
  weights: WeightsFormat,
  tokens: number,
  seconds: readonly number[],
  limit: number,
  limits: MachineLimits,
  profile: string,
): BenchRow {
  const { median, least, most } = spread(seconds);
  return {
    work,
    weights,
    'tokens/s': rounded(tokens / median),
    'ms per step': rounded(1000 * median),
    'least ms': rounded(1000 * least),
    'most ms': rounded(1000 * most),
    'limit, tokens/s': rounded(limit),
    'median of the limit': rounded(tokens / median / limit),
    'best of the limit': rounded(tokens / least / limit),
    'GB/s': rounded(limits.readBytesPerSecond / 1e9),
    'f32 GMAC/s': rounded(fastest(limits, 'f32') / 1e9),
    time: profile,
  };
}

const rows: BenchRow[] = [];
for (const weights of ['bf16', 'q8'] as const) {
  const executor = await open(weights);
  rows.push(await measurePrefill(executor, weights));
  rows.push(...(await measureDecode(executor, weights)));
  executor.close();
}
const speed = (work: string): number => Number(rows.find((row) => row['work'] === work)?.['tokens/s']);
publish({
  name: 'engine',
  question: `How fast does the native engine prefill and decode a ${shape} model, beside the limits of the machine?`,
  conditions: {
    model: shape,
    threads,
    isa: native.hardware().isa,
    'tokens of context at decode': contextTokens,
    'tokens of a prefill': promptTokens,
    'steps per decode case': decodeSteps,
  },
  seed,
  rows,
  notes: [
    'The limit of decode is the bytes of weights, of the experts that the step used, and of the cache, over the measured read bandwidth; that of prefill its multiply-adds over the measured rate of f32 (q8: int8) instructions.',
    `bf16, 16 sequences against 1: ${rounded(speed('decode, 16 sequences') / speed('decode, 1 sequences'))} times the tokens per second.`,
  ],
});

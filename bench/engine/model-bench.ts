/** Prefill and decode of one model in one process, each step timed. */
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compileModel } from '../../controller/model/compile.ts';
import type { ShapeName } from '../../controller/model/synth/shapes.ts';
import { synthesise } from '../../controller/model/synth/synth.ts';
import type { MachineLimits, Native } from '../../native/native.ts';
import type { ModelSpec } from '../../proto/messages.ts';
import { expertOf } from '../../proto/model/experts.ts';
import { moeOf } from '../../proto/model/operators.ts';
import { ffnWeights, modelWeights, type Weight } from '../../proto/model/weights.ts';
import type { WeightsFormat } from '../../proto/weights-formats.ts';
import { createLocalExecutor, type LocalExecutor } from '../../worker/stage/local-executor.ts';
import { type BenchRow, rounded, spread } from '../report.ts';
import { makeStep, type Rows } from './steps.ts';

export interface ModelCase {
  readonly shape: ShapeName;
  /** Tokens of each sequence before it decodes. */
  readonly contextTokens: number;
  readonly sequenceCounts: readonly number[];
}

export const promptTokens = 512;
export const decodeSteps = 32;
const prefillRuns = 5;
const blockSize = 16;

/** The fastest measured multiply-adds of a kind of instruction. */
function fastest({ arithmetic }: MachineLimits, kind: string): number {
  return Math.max(0, ...arithmetic.filter(({ name }) => name.startsWith(kind)).map((l) => l.multiplyAddsPerSecond));
}

export class ModelBench {
  readonly #native: Native;
  readonly #model: ModelCase;
  readonly directory: string;
  readonly #spec: ModelSpec;
  readonly #blocksPerSequence: number;
  readonly #kvBlocks: number;
  #random: number;

  private constructor(native: Native, model: ModelCase, directory: string, spec: ModelSpec, seed: number) {
    this.#native = native;
    this.#model = model;
    this.directory = directory;
    this.#spec = spec;
    this.#random = seed;
    this.#blocksPerSequence = (Math.max(promptTokens, model.contextTokens) + 64) / blockSize;
    this.#kvBlocks = Math.max(...model.sequenceCounts) * this.#blocksPerSequence;
  }

  /** Writes the model's checkpoint where there is none. */
  static async of(native: Native, model: ModelCase, seed: number): Promise<ModelBench> {
    const directory = join(tmpdir(), `conclave-bench-${model.shape}`);
    if (!existsSync(join(directory, 'config.json'))) {
      console.error(`writing a ${model.shape} checkpoint to ${directory}`);
      await synthesise(model.shape, directory, { seed });
    }
    const { spec } = await compileModel(directory);
    return new ModelBench(native, model, directory, spec, seed);
  }

  async run(weights: WeightsFormat): Promise<readonly BenchRow[]> {
    console.error(`loading ${this.#model.shape} in ${weights}`);
    const limits = () => ({ kvBlocks: this.#kvBlocks, blockSize, stateSlots: 0 });
    const [native, directory, spec] = [this.#native, this.directory, this.#spec];
    const threads = native.hardware().cpus;
    const settings = { native, directory, spec, weights, threads, isa: null, limits, onProgress: null };
    const executor = await createLocalExecutor(settings);
    try {
      return [await this.#prefill(executor, weights), ...(await this.#decode(executor, weights))];
    } finally {
      executor.close();
    }
  }

  async #prefill(executor: LocalExecutor, weights: WeightsFormat): Promise<BenchRow> {
    const rows = [{ sequence: 0, begin: 0, count: promptTokens }];
    await this.#timeStep(executor, rows);
    describeProfile(executor);
    takeExperts(executor);
    const limits = await this.#native.measureLimits(executor.handles.runtime);
    const seconds: number[] = [];
    for (let run = 0; run < prefillRuns; run++) seconds.push(await this.#timeStep(executor, rows));
    const { shared, expert, head } = this.#matrixElements();
    const expertRows = takeExperts(executor).rows / prefillRuns;
    const multiplyAdds = shared * promptTokens + expert * expertRows + head;
    const arithmetic = fastest(limits, weights === 'q8' || weights === 'q4' ? 'int8' : 'f32');
    const limit = (arithmetic / multiplyAdds) * promptTokens;
    const profile = describeProfile(executor);
    return this.#row({ work: 'prefill', weights, tokens: promptTokens, seconds, limit, limits, profile });
  }

  /** Takes turns between the cases, so that all see the same noise. */
  async #decode(executor: LocalExecutor, weights: WeightsFormat): Promise<readonly BenchRow[]> {
    const { stage, bank, runtime } = executor.handles;
    const { contextTokens, sequenceCounts } = this.#model;
    for (let sequence = 0; sequence < Math.max(...sequenceCounts); sequence++) {
      for (let begin = 0; begin < contextTokens; begin += promptTokens) {
        const count = Math.min(promptTokens, contextTokens - begin);
        await this.#timeStep(executor, [{ sequence, begin, count }]);
      }
    }
    const cases = sequenceCounts.map((sequences) => ({ sequences, seconds: [] as number[], distinct: 0, profile: '' }));
    const warmUp = 4;
    const before = await this.#native.measureLimits(runtime);
    for (let index = 0; index < warmUp + decodeSteps; index++) {
      for (const one of cases) {
        const begin = contextTokens + index;
        const rows = Array.from({ length: one.sequences }, (_, sequence) => ({ sequence, begin, count: 1 }));
        describeProfile(executor);
        takeExperts(executor);
        const seconds = await this.#timeStep(executor, rows);
        if (index < warmUp) continue;
        one.seconds.push(seconds);
        one.distinct += takeExperts(executor).distinct;
        one.profile = describeProfile(executor);
      }
    }
    const after = await this.#native.measureLimits(runtime);
    const limits = before.readBytesPerSecond > after.readBytesPerSecond ? before : after;
    return cases.map(({ sequences, seconds, distinct, profile }) => {
      const cached = (sequences * contextTokens * stage.cacheBytes) / (this.#kvBlocks * blockSize);
      const bytes = stage.weightBytes + (distinct / decodeSteps) * (bank.bytes / bank.slotCount) + cached;
      const limit = (limits.readBytesPerSecond / bytes) * sequences;
      const work = `decode, ${sequences} sequences`;
      return this.#row({ work, weights, tokens: sequences, seconds, limit, limits, profile });
    });
  }

  /** Seconds of a step. */
  async #timeStep({ handles }: LocalExecutor, rows: readonly Rows[]): Promise<number> {
    const batch = makeStep(rows, { blockSize, blocksPerSequence: this.#blocksPerSequence }, () => this.#randomToken());
    const started = performance.now();
    await handles.stage.begin(batch);
    return (performance.now() - started) / 1000;
  }

  /** A fixed sequence of tokens that looks random. */
  #randomToken(): number {
    this.#random = (Math.imul(this.#random, 1664525) + 1013904223) >>> 0;
    return this.#random % this.#spec.vocabSize;
  }

  /** Elements of all matrices that every row goes through, and of one expert. */
  #matrixElements(): { readonly shared: number; readonly expert: number; readonly head: number } {
    const count = (weights: Iterable<Weight>) => [...weights].reduce((sum, { rows, cols }) => sum + rows * cols, 0);
    const matrices = [...modelWeights(this.#spec)].filter(({ rows }) => rows > 1);
    const table = this.#spec.layers.map((layer) => moeOf(layer)?.experts).find((experts) => experts?.count);
    return {
      shared: count(matrices.filter(({ role }) => !['embedding', 'experts', 'head'].includes(role))),
      expert: table ? count(ffnWeights('experts', 'slot', expertOf(table, 0))) : 0,
      head: count(matrices.filter(({ role }) => role === 'head')),
    };
  }

  #row({ work, weights, tokens, seconds, limit, limits, profile }: Measured): BenchRow {
    const { median, least, most } = spread(seconds);
    return {
      model: this.#model.shape,
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
}

interface Measured {
  readonly work: string;
  readonly weights: WeightsFormat;
  readonly tokens: number;
  readonly seconds: readonly number[];
  /** Tokens per second that the machine allows. */
  readonly limit: number;
  readonly limits: MachineLimits;
  readonly profile: string;
}

/** Distinct experts over all layers since the last call, and rows that went to experts. */
function takeExperts({ handles }: LocalExecutor): { readonly distinct: number; readonly rows: number } {
  const counts = handles.stage.takeExpertRows().flatMap((layer) => [...layer]);
  return { distinct: counts.filter((count) => count > 0).length, rows: counts.reduce((sum, count) => sum + count, 0) };
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

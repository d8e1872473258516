/**
 * What the scheduler itself costs per step, with an executor that computes nothing.
 *
 * "gap": time from a step's return to the start of the next, when compute stands still. "loop": processor time of all the
 * event loop does per step: the gap, delivery, and the consumers' taking of each token. The baseline hands the same tokens
 * to as many consumers with nothing in between.
 */
import type { StepBatch, StepOutput } from '../native/native.ts';
import { createEngine, type Engine } from '../worker/engine/engine.ts';
import { ResponseQueue } from '../worker/engine/run/response-queue.ts';
import type { ExecutorLimits, StepExecutor } from '../worker/engine/step/executor.ts';
import { publish, quantile, rounded, spread } from './report.ts';

const blockSize = 16;
const warmUpSteps = 300;
const steps = 1500;

/** Answers every batch on the next turn of the event loop. */
class IdleExecutor implements StepExecutor {
  readonly limits: ExecutorLimits;
  readonly gaps: number[] = [];
  steps = 0;
  #returnedAt = 0;

  constructor(limits: ExecutorLimits) {
    this.limits = limits;
  }

  execute(batch: StepBatch): Promise<StepOutput> {
    this.gaps.push((performance.now() - this.#returnedAt) * 1000);
    this.steps++;
    const count = batch.logits.rows.length;
    const output: StepOutput = {
      tokens: new Int32Array(count).fill(7),
      logprobs: new Float32Array(count),
      topOffsets: new Int32Array(count + 1),
      topTokens: new Int32Array(0),
      topLogprobs: new Float32Array(0),
    };
    return new Promise((resolve) => {
      setImmediate(() => {
        this.#returnedAt = performance.now();
        resolve(output);
      });
    });
  }
}

interface Case {
  readonly sequences: number;
  readonly promptTokens: number;
  /** Tokens of each request; a client asks for the next one when it is done. */
  readonly outputTokens: number;
  readonly penalties: boolean;
}

async function measure(wanted: Case) {
  const { sequences, promptTokens, outputTokens } = wanted;
  const maxModelLen = promptTokens + outputTokens;
  const kvBlocks = Math.ceil((sequences + 1) * (maxModelLen / blockSize + 2));
  const executor = new IdleExecutor({ kvBlocks, blockSize, stateSlots: 0 });
  const engine = createEngine({
    executor,
    model: { vocabSize: 32_000, eosTokenIds: [2] },
    limits: { maxModelLen, maxSequences: sequences, maxBatchedTokens: 8192 + sequences },
    salt: 1,
  });
  const ends = Array.from({ length: sequences }, () => new AbortController());
  const clients = ends.map(({ signal }, client) => run(engine, client, wanted, signal));
  while (engine.snapshot().running < sequences) await turn();
  await until(executor, executor.steps + warmUpSteps);
  executor.gaps.length = 0;
  const startedAt = process.cpuUsage();
  const first = executor.steps;
  await until(executor, first + steps);
  const loop = cpuSince(startedAt) / (executor.steps - first);
  const gaps = [...executor.gaps];
  for (const end of ends) end.abort();
  await Promise.all(clients);
  await engine.stop();
  return { loop, gap: spread(gaps).median, gapP99: quantile(gaps, 0.99) };
}

/** One client: request after request until the end. */
async function run(engine: Engine, client: number, wanted: Case, ended: AbortSignal): Promise<void> {
  for (let turn = 0; !ended.aborted; turn++) {
    const request = {
      requestId: `${client}-${turn}`,
      promptTokenIds: Array.from({ length: wanted.promptTokens }, (_, i) => (client * 7919 + turn * 31 + i) % 32_000),
      outputTokenIds: [],
      sampling: { temperature: 0, seed: '0', logitBias: {}, ...(wanted.penalties ? { frequencyPenalty: 0.5 } : {}) },
      limits: { maxTokens: wanted.outputTokens, stop: [], stopTokenIds: [], ignoreEos: true },
      n: 1,
      constraint: null,
    };
    for await (const response of engine.run(request, ended)) void response;
  }
}

/** The same tokens to as many consumers, without an engine. Microseconds per step. */
async function baseline(sequences: number): Promise<number> {
  const events = { onStart() {}, onTaken() {}, onReturn() {} };
  const queues = Array.from({ length: sequences }, () => new ResponseQueue(events));
  const consumers = queues.map(async (queue) => {
    for await (const response of queue) void response;
  });
  let startedAt = process.cpuUsage();
  for (let step = 0; step < warmUpSteps + steps; step++) {
    if (step === warmUpSteps) startedAt = process.cpuUsage();
    for (const queue of queues) {
      queue.push({
        index: 0,
        tokenIds: [7],
        logprobs: [],
        promptLogprobs: [],
        finishReason: 'FINISH_REASON_UNSPECIFIED',
        cachedTokens: 0,
        queueMs: 0,
      });
    }
    await turn();
  }
  const loop = cpuSince(startedAt) / steps;
  for (const queue of queues) queue.end();
  await Promise.all(consumers);
  return loop;
}

/** Microseconds of processor time, garbage collection included. */
function cpuSince(start: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(start);
  return user + system;
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

async function until(executor: IdleExecutor, count: number): Promise<void> {
  while (executor.steps < count) await turn();
}

const cases: readonly Case[] = [
  { sequences: 1, promptTokens: 128, outputTokens: 4000, penalties: false },
  { sequences: 32, promptTokens: 128, outputTokens: 4000, penalties: false },
  { sequences: 32, promptTokens: 8192, outputTokens: 4000, penalties: false },
  { sequences: 32, promptTokens: 128, outputTokens: 64, penalties: false },
  { sequences: 256, promptTokens: 128, outputTokens: 4000, penalties: false },
  { sequences: 256, promptTokens: 8192, outputTokens: 4000, penalties: false },
  { sequences: 256, promptTokens: 128, outputTokens: 4000, penalties: true },
  { sequences: 256, promptTokens: 128, outputTokens: 64, penalties: false },
];

// Once for the compiler, which else counts against the first case.
for (const one of cases) if (one.sequences === 256) await measure(one);
const rows = [];
for (const one of cases) {
  const { loop, gap, gapP99 } = await measure(one);
  const floor = await baseline(one.sequences);
  rows.push({
    sequences: one.sequences,
    'prompt tokens': one.promptTokens,
    'output tokens': one.outputTokens,
    penalties: one.penalties ? 'yes' : 'no',
    'gap µs': rounded(gap),
    'gap p99 µs': rounded(gapP99),
    'loop CPU µs': rounded(loop),
    'baseline CPU µs': rounded(floor),
    'CPU µs per token': rounded(loop / one.sequences),
  });
}

publish({
  name: 'scheduler',
  question: 'What does the scheduler cost per step?',
  conditions: { 'block size': blockSize, steps, 'warm-up steps': warmUpSteps },
  seed: null,
  rows,
  notes: [
    'gap: between a step’s return and the start of the next; loop: processor time of all that happens per step.',
    'baseline: the same tokens handed to as many consumers without an engine.',
    '64 output tokens: requests end and arrive all the time, so admission and prompts are included.',
  ],
});

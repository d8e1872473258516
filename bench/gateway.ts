/**
 * What HTTP and the scheduler cost per token. Three layers generate the same tokens in turn: the native stage driven
 * directly with a batch of decoding sequences; the engine (scheduler and native stage) in this process; `conclave serve`
 * in a process of its own, asked over HTTP with streaming. The differences between neighbours are the costs of the layers.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compileModel } from '../controller/model/compile.ts';
import { synthesise } from '../controller/model/synth.ts';
import { loadNative } from '../native/load.ts';
import type { StepBatch } from '../native/native.ts';
import type { RunRequest } from '../proto/messages.ts';
import { packageRoot } from '../proto/package-root.ts';
import { createEngine, type Engine } from '../worker/engine/engine.ts';
import { createLocalExecutor, type LocalExecutor } from '../worker/stage/local-executor.ts';
import { publish, rounded, spread } from './report.ts';

const seed = 1;
const promptTokens = 16;
const outputTokens = 256;
const repeats = 7;
const streamCounts = [1, 32];
const blockSize = 16;
const threads = 1;

/** Microseconds of wall time, and of the server's processor time where it has a process of its own. */
interface Cost {
  readonly wall: number;
  readonly processor: number | null;
}

/** Requests made to the engine so far; each needs an id of its own. */
let requests = 0;

const folder = mkdtempSync(join(tmpdir(), 'conclave-bench-'));
try {
  const directory = join(folder, 'tiny');
  await synthesise('tiny', directory, { seed });
  const { spec } = await compileModel(directory);
  const blocksPerSequence = Math.ceil((promptTokens + outputTokens) / blockSize);
  const kvBlocks = Math.max(...streamCounts) * blocksPerSequence;
  const executor = await createLocalExecutor({
    native: loadNative(),
    directory,
    spec,
    weights: 'f32',
    threads,
    isa: null,
    limits: () => ({ kvBlocks, blockSize }),
    onProgress: null,
  });
  const rows = [];
  for (const streams of streamCounts) {
    const stage = await measure(() => driveStage(executor, streams, blocksPerSequence));
    const engine = createEngine({
      executor,
      model: { vocabSize: spec.vocabSize, eosTokenIds: spec.eosTokenIds },
      limits: { maxModelLen: blocksPerSequence * blockSize },
      prefixCaching: false,
    });
    const scheduled = await measure(() => driveEngine(engine, streams));
    await engine.close(0);
    const server = await startServer(directory);
    const served = await measure(() => driveServer(server, streams));
    await server.stop();
    rows.push({
      streams,
      'native step, µs/token': rounded(stage.wall),
      'scheduler, µs/token': rounded(scheduled.wall - stage.wall),
      'HTTP and gateway, µs/token': rounded(served.wall - scheduled.wall),
      'all, µs/token': rounded(served.wall),
      'tokens/s over HTTP': rounded(1e6 / served.wall),
      "server's processor time, µs/token": rounded(served.processor ?? Number.NaN),
    });
  }
  executor.close();
  publish({
    name: 'gateway',
    question: 'What do HTTP and the scheduler cost per token?',
    conditions: {
      model: 'synth tiny, f32',
      threads,
      promptTokens,
      outputTokens,
      repeats: `median of ${repeats} after 1 to warm up`,
    },
    seed,
    rows,
    notes: [
      'Each column is the difference to the layer below, measured in the same run; wall time over all streams together.',
      'Client and server share the machine, so the wall time over HTTP holds the client\u2019s share where cores are few.',
    ],
  });
} finally {
  rmSync(folder, { recursive: true });
}

/** Median costs per token. */
async function measure(drive: () => Promise<{ tokens: number; processorMs: number | null }>): Promise<Cost> {
  const samples: Cost[] = [];
  for (let repeat = 0; repeat <= repeats; repeat++) {
    const start = performance.now();
    const { tokens, processorMs } = await drive();
    const wall = (1_000 * (performance.now() - start)) / tokens;
    samples.push({ wall, processor: processorMs === null ? null : (1_000 * processorMs) / tokens });
  }
  const warm = samples.slice(1);
  const processor = warm.flatMap((sample) => sample.processor ?? []);
  return {
    wall: spread(warm.map((sample) => sample.wall)).median,
    processor: processor.length === 0 ? null : spread(processor).median,
  };
}

/** Prefill and decode steps as the scheduler would make them, built by hand. */
async function driveStage(executor: LocalExecutor, streams: number, blocksPerSequence: number) {
  const table = Int32Array.from({ length: streams * blocksPerSequence }, (_, block) => block);
  const blockOffsets = Int32Array.from({ length: streams + 1 }, (_, index) => index * blocksPerSequence);
  const step = (rowsEach: number, firstPosition: number, tokens: (row: number) => number): StepBatch => {
    const rows = streams * rowsEach;
    return {
      tokenIds: Int32Array.from({ length: rows }, (_, row) => tokens(row)),
      positions: Int32Array.from({ length: rows }, (_, row) => firstPosition + (row % rowsEach)),
      sequenceOffsets: Int32Array.from({ length: streams + 1 }, (_, index) => index * rowsEach),
      blockTables: table,
      blockOffsets,
      hidden: null,
      logits: {
        rows: Int32Array.from({ length: streams }, (_, index) => (index + 1) * rowsEach - 1),
        targets: new Int32Array(streams).fill(-1),
        logprobs: new Int32Array(streams).fill(-1),
        sampling: new Array<null>(streams).fill(null),
        positions: new Int32Array(streams).fill(firstPosition + rowsEach),
        sequenceIndices: new Int32Array(streams),
        promptTokens: new Array<null>(streams).fill(null),
        outputTokens: new Array<null>(streams).fill(null),
      },
    };
  };
  let output = await executor.execute(
    step(promptTokens, 0, (row) => prompt(Math.floor(row / promptTokens))[row % promptTokens] ?? 0),
  );
  for (let token = 1; token < outputTokens; token++) {
    const last = output.tokens;
    output = await executor.execute(step(1, promptTokens + token - 1, (row) => last[row] ?? 0));
  }
  return { tokens: streams * outputTokens, processorMs: null };
}

async function driveEngine(engine: Engine, streams: number) {
  const generate = async (stream: number): Promise<number> => {
    let tokens = 0;
    for await (const response of engine.run(request(stream), new AbortController().signal)) {
      tokens += response.tokenIds.length;
    }
    return tokens;
  };
  return { tokens: await total(streams, generate), processorMs: null };
}

function request(stream: number): RunRequest {
  return {
    requestId: String(requests++),
    promptTokenIds: [...prompt(stream)],
    outputTokenIds: [],
    sampling: { temperature: 0, logitBias: {} },
    limits: { maxTokens: outputTokens, stop: [], stopTokenIds: [], ignoreEos: true },
    n: 1,
  };
}

interface BenchServer {
  readonly url: string;
  readonly pid: number;
  stop(): Promise<void>;
}

async function startServer(directory: string): Promise<BenchServer> {
  const flags = [
    '--port',
    '0',
    '--grpc-port',
    '0',
    '--output',
    'json',
    '--weights',
    'f32',
    '--threads',
    String(threads),
  ];
  const child: ChildProcess = spawn(
    process.execPath,
    ['bin/conclave.js', 'serve', directory, ...flags, '--no-prefix-caching', '--log-level', 'warn'],
    { cwd: packageRoot, stdio: ['ignore', 'pipe', 'inherit'] },
  );
  let line = '';
  for await (const piece of child.stdout ?? []) {
    line += String(piece);
    if (line.includes('\n')) break;
  }
  const { http, pid } = JSON.parse(line) as { readonly http: string; readonly pid: number };
  return {
    url: http,
    pid,
    async stop() {
      const exited = once(child, 'exit');
      child.kill('SIGTERM');
      await exited;
    },
  };
}

async function driveServer(server: BenchServer, streams: number) {
  const before = processorMs(server.pid);
  const generate = async (stream: number): Promise<number> => {
    const response = await fetch(`${server.url}/v1/completions`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({
        model: 'tiny',
        prompt: prompt(stream),
        max_tokens: outputTokens,
        temperature: 0,
        ignore_eos: true,
        stream: true,
        stream_options: { include_usage: true },
      }),
    });
    if (!response.ok || response.body === null) throw new Error(`${response.status} ${await response.text()}`);
    let text = '';
    for await (const piece of response.body.pipeThrough(new TextDecoderStream())) text += piece;
    return Number(/"completion_tokens":(\d+)/.exec(text)?.[1]);
  };
  const tokens = await total(streams, generate);
  return { tokens, processorMs: processorMs(server.pid) - before };
}

async function total(streams: number, generate: (stream: number) => Promise<number>): Promise<number> {
  const counts = await Promise.all(Array.from({ length: streams }, (_, stream) => generate(stream)));
  const tokens = counts.reduce((sum, count) => sum + count, 0);
  if (tokens !== streams * outputTokens) throw new Error(`${tokens} tokens instead of ${streams * outputTokens}`);
  return tokens;
}

/** Token ids that depend on the stream. */
function prompt(stream: number): readonly number[] {
  return Array.from({ length: promptTokens }, (_, position) => (stream * 31 + position * 7) % 256);
}

/** Processor time that a process has used, user and system; the kernel counts hundredths of a second. */
function processorMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return 10 * (Number(fields[11]) + Number(fields[12]));
}

/**
 * What HTTP and the scheduler cost per token. Three layers generate the same tokens: the native stage driven by hand; the
 * engine (scheduler and native stage) in this process; `conclave serve` in a process of its own, asked over HTTP with
 * streaming. They take turns, and the differences of their processor time are the costs of the layers.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compileModel } from '../controller/model/compile.ts';
import { synthesise } from '../controller/model/synth/synth.ts';
import { loadNative } from '../native/load.ts';
import { createEngine } from '../worker/engine/engine.ts';
import { createLocalExecutor } from '../worker/stage/local-executor.ts';
import { driveEngine } from './gateway/engine-layer.ts';
import { driveHttp } from './gateway/http-layer.ts';
import { shareByPart } from './gateway/profile.ts';
import { driveStage } from './gateway/stage-layer.ts';
import { outputTokens, promptTokens } from './gateway/workload.ts';
import { publish, rounded, spread } from './report.ts';
import { ServerProcess } from './serving/server-process.ts';

const seed = 1;
const repeats = 15;
const streamCounts = [1, 32];
const blockSize = 16;
const threads = 1;

const folder = mkdtempSync(join(tmpdir(), 'conclave-bench-'));
try {
  const directory = join(folder, 'tiny');
  await synthesise('tiny', directory, { seed });
  const { spec } = await compileModel(directory);
  const blocksEach = Math.ceil((promptTokens + outputTokens) / blockSize);
  const kvBlocks = Math.max(...streamCounts) * blocksEach;
  const executor = await createLocalExecutor({
    native: loadNative(),
    directory,
    spec,
    weights: 'f32',
    threads,
    isa: null,
    limits: () => ({ kvBlocks, blockSize, stateSlots: 0 }),
    onProgress: null,
  });
  const engine = createEngine({
    executor,
    model: { vocabSize: spec.vocabSize, eosTokenIds: spec.eosTokenIds },
    limits: { maxModelLen: blocksEach * blockSize },
    prefixCaching: false,
  });
  const flags = [directory, '--weights', 'f32', '--threads', String(threads), '--no-prefix-caching'];
  const server = await ServerProcess.start(flags);

  const rows = [];
  for (const streams of streamCounts) {
    const layers = [
      { processorMs: ownProcessorMs, drive: () => driveStage(executor, streams) },
      { processorMs: ownProcessorMs, drive: () => driveEngine(engine, streams) },
      { processorMs: () => server.processorMs()['process'] ?? 0, drive: () => driveHttp(server, streams) },
    ].map((layer) => ({ ...layer, wall: [] as number[], processor: 0 }));
    for (let repeat = -1; repeat < repeats; repeat++) {
      for (const layer of layers) {
        const [before, start] = [layer.processorMs(), performance.now()];
        await layer.drive();
        if (repeat < 0) continue;
        layer.wall.push(performance.now() - start);
        layer.processor += layer.processorMs() - before;
      }
    }
    const tokens = streams * outputTokens;
    const wall = layers.map((layer) => (1_000 * spread(layer.wall).median) / tokens);
    const [stage = 0, scheduled = 0, served = 0] = layers.map(
      (layer) => (1_000 * layer.processor) / (repeats * tokens),
    );
    rows.push({
      streams,
      'native step, µs/token': rounded(stage),
      'scheduler, µs/token': rounded(scheduled - stage),
      'HTTP and gateway, µs/token': rounded(served - scheduled),
      'server in all, µs/token': rounded(served),
      'wall: native step, with scheduler, over HTTP, µs/token': wall.map(rounded).join(', '),
      'tokens/s over HTTP': rounded(1e6 / (wall[2] ?? 0)),
    });
  }
  await server.stop();
  await engine.close(0);
  executor.close();

  publish({
    name: 'gateway',
    question: 'What do HTTP and the scheduler cost per token?',
    conditions: {
      model: 'synth tiny, f32',
      'engine threads': threads,
      'prompt tokens': promptTokens,
      'output tokens': outputTokens,
      repeats: `medians of ${repeats} turns after 1 to warm up`,
    },
    seed,
    rows,
    notes: [
      'Processor time of all threads; each column is the difference to the layer below it. Wall time is that of all streams',
      "together: it holds waiting for threads to wake and, over HTTP, the client's own work, as client and server share the machine.",
      'The main thread of the server with 32 streams, by part (profiled in a run of its own):',
      ...(await profile(flags)).map((line) => `  ${line}`),
    ],
  });
} finally {
  rmSync(folder, { recursive: true });
}

function ownProcessorMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}

/** Where the server's main thread spends its time, from Node's sampling profiler. */
async function profile(flags: readonly string[]): Promise<readonly string[]> {
  const profiles = join(folder, 'profiles');
  const server = await ServerProcess.start(flags, ['--cpu-prof', '--cpu-prof-dir', profiles]);
  for (let repeat = 0; repeat < repeats; repeat++) await driveHttp(server, 32);
  await server.stop();
  return [...shareByPart(profiles)].map(([part, share]) => `${(100 * share).toFixed(0)} % ${part}`);
}

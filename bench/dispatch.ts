// What does a dispatch and its answer cost between two processes on one machine, beside a plain echo of as many bytes?
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Client, type ClientDuplexStream, credentials, Metadata } from '@grpc/grpc-js';
import type { Dispatch, ExpertBank } from '../native/native.ts';
import { collectGarbageLessOften } from '../platform/process/garbage-collection.ts';
import { dataChannelOptions } from '../platform/rpc/channel.ts';
import { conclave, encode } from '../proto/messages.ts';
import { ColdExperts } from '../worker/shard/cold-experts.ts';
import { Dispatcher } from '../worker/shard/dispatcher.ts';
import { Targets } from '../worker/shard/targets.ts';
import { echoService } from './dispatch/echo.ts';
import { type BenchRow, publish, quantile, rounded } from './report.ts';

const hiddenSizes = [2048, 7168];
const cases = [
  ...[1, 8, 32, 128].map((rowCount) => ({ rowCount, caches: 'as left' })),
  ...[1, 8].map((rowCount) => ({ rowCount, caches: 'emptied' })),
];
const topK = 8;
const seconds = 1.5;
const warmUpCalls = 2_000;

const streamed = new Float64Array((64 * 2 ** 20) / 8).fill(1); // Written, or all of it would be one page of zeros.

/** What a step's weights do to the caches: everything else leaves them. */
function emptyCaches(): void {
  let sum = 0;
  for (let i = 0; i < streamed.length; i += 8) sum += streamed[i] ?? 0;
  if (sum !== streamed.length / 8) throw new Error(`the memory holds ${sum} instead of ones`);
}

/** Milliseconds of each call, made one after the other, in slices so that both sides see the same noise. */
async function measure(
  calls: readonly (() => Promise<unknown>)[],
  before: () => void = () => undefined,
): Promise<readonly number[][]> {
  const samples = calls.map((): number[] => []);
  for (const call of calls) for (let i = 0; i < warmUpCalls; i++) await call();
  const slices = 10;
  for (let slice = 0; slice < slices; slice++) {
    for (const [i, call] of calls.entries()) {
      const until = performance.now() + (seconds * 1000) / slices;
      while (performance.now() < until) {
        before();
        const started = performance.now();
        await call();
        samples[i]?.push(performance.now() - started);
      }
    }
  }
  return samples;
}

/** One echo after the other over one stream. */
class Echo {
  readonly #stream: ClientDuplexStream<Buffer, Buffer>;
  #received: () => void = () => undefined;

  constructor(client: Client) {
    const { path, requestSerialize, responseDeserialize } = echoService.Echo;
    this.#stream = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
    this.#stream.on('data', () => this.#received());
    this.#stream.on('error', () => undefined); // The client is closed at the end.
  }

  send(bytes: Buffer): Promise<void> {
    return new Promise((resolve) => {
      this.#received = resolve;
      this.#stream.write(bytes);
    });
  }
}

const unused = (): never => {
  throw new Error('not part of this bench');
};
const noBank: ExpertBank = {
  load: unused,
  unload: unused,
  has: unused,
  forward: unused,
  slotCount: 0,
  bytes: 0,
  close: unused,
};

function dispatchOf(rowCount: number, hidden: number): Dispatch {
  return {
    index: 0,
    target: 1,
    dense: false,
    rowIndices: Int32Array.from({ length: rowCount }, (_, row) => row),
    experts: {
      layer: 0,
      rowCount,
      type: 'bf16',
      rows: new Uint8Array(rowCount * hidden * 2).fill(1),
      grid: new Int32Array(rowCount).fill(-20),
      topK,
      topkIds: new Int32Array(rowCount * topK),
      topkWeights: new Float32Array(rowCount * topK),
    },
  };
}

async function measureHidden(hidden: number): Promise<BenchRow[]> {
  const child = fork(fileURLToPath(new URL('./dispatch/server.js', import.meta.url)), [String(hidden)]);
  const [ports] = (await once(child, 'message')) as [{ shardPort: number; echoPort: number }];
  const client = new Client(`127.0.0.1:${ports.echoPort}`, credentials.createInsecure(), dataChannelOptions);
  const targets = new Targets({
    credentials: credentials.createInsecure(),
    metadata: () => new Metadata(),
    health: { now: () => performance.now(), minDeadlineMs: 5_000, maxDeadlineMs: 5_000 },
    onFailure: (failure) => {
      throw failure;
    },
    probeIntervalMs: 10,
  });
  targets.update([{ id: 'w1', address: `127.0.0.1:${ports.shardPort}` }]);
  while (!targets.usable(1)) await new Promise((resolve) => setTimeout(resolve, 10));
  const dispatcher = new Dispatcher({
    pipeline: 'p0',
    hidden,
    expertWidth: () => hidden,
    target: (target) => targets.get(target),
    replicas: (layer) => ({ layer, slices: 1, targets: [[1]] }),
    health: targets,
    bank: noBank,
    cold: new ColdExperts(
      noBank,
      () => 0,
      () => undefined,
    ),
    observer: { onAnswer: () => undefined, onRetry: unused, onHedge: unused, onColdRows: unused },
    rankDeadlineMs: 5_000,
    hedgeMs: null,
  });
  const echo = new Echo(client);
  const rows: BenchRow[] = [];
  for (const { rowCount, caches } of cases) {
    const dispatch = dispatchOf(rowCount, hidden);
    const step = { kind: 'dispatch', step: 1, layer: 0, operator: 'ffn', dispatches: [dispatch] } as const;
    const { rows: activations, grid, topkIds, topkWeights } = dispatch.experts;
    const asBuffer = (array: Uint8Array | Int32Array | Float32Array): Buffer =>
      Buffer.from(array.buffer, array.byteOffset, array.byteLength);
    const request = encode(conclave.ForwardRequest, {
      dispatchId: 1,
      rows: asBuffer(activations),
      grid: asBuffer(grid),
      topkIds: asBuffer(topkIds),
      topkWeights: asBuffer(topkWeights),
    });
    const answerBytes = rowCount * hidden * 3;
    // There and back as many bytes as the dispatch and its answer have on the wire.
    const bytes = Buffer.alloc(Math.round((request.byteLength + answerBytes) / 2), 1);
    const [ours = [], plain = []] = await measure(
      [() => dispatcher.collect(step, 1, null), () => echo.send(bytes)],
      caches === 'emptied' ? emptyCaches : undefined,
    );
    const moved = (samples: readonly number[]): number =>
      (activations.byteLength + answerBytes) / (quantile(samples, 0.5) / 1000) / 1e6;
    rows.push({
      hidden,
      rows: rowCount,
      "sender's caches": caches,
      'KiB there': rounded(activations.byteLength / 1024),
      'KiB back': rounded(answerBytes / 1024),
      'p50 ms': rounded(quantile(ours, 0.5)),
      'p99 ms': rounded(quantile(ours, 0.99)),
      'MB/s': rounded(moved(ours)),
      'echo p50 ms': rounded(quantile(plain, 0.5)),
      'echo p99 ms': rounded(quantile(plain, 0.99)),
      'echo MB/s': rounded(moved(plain)),
      'ours / echo p50': rounded(quantile(ours, 0.5) / quantile(plain, 0.5)),
    });
  }
  targets.close();
  client.close();
  child.disconnect();
  await once(child, 'exit');
  return rows;
}

collectGarbageLessOften(); // As every process of the program does.
const rows: BenchRow[] = [];
for (const hidden of hiddenSizes) rows.push(...(await measureHidden(hidden)));
publish({
  name: 'dispatch',
  question:
    'What does a dispatch and its answer cost between two processes on one machine, beside a plain echo of as many bytes?',
  conditions: { 'top-k': topK, rows: 'bf16', 'partial sums': 'i24', 'seconds per case': seconds, 'in flight': 1 },
  seed: null,
  rows,
  notes: [
    'The echo is plain grpc-js with the channel options of the data path, which make it faster where messages are large.',
    'Emptied caches: the sender reads 64 MiB before each call, as the weights of a layer pass between two dispatches of a step.',
    'MB/s counts the activations of both directions at the median time.',
  ],
});

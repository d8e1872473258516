import { connect } from 'node:http2';
import {
  Client,
  credentials,
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServiceDefinition,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Dispatch, EncodedTotals, ExpertBank, ExpertRows, ExpertSlot, RankShard } from '../../../native/native.ts';
import { dataChannelOptions, MAX_DATA_MESSAGE_BYTES } from '../../../platform/rpc/channel.ts';
import type { ForwardRequest__Output as ForwardRequest } from '../../../proto/generated/conclave/v1/ForwardRequest.ts';
import type { ForwardResponse } from '../../../proto/generated/conclave/v1/ForwardResponse.ts';
import { conclave } from '../../../proto/messages.ts';
import type { WorkerSession } from '../../../proto/worker-session.ts';
import { ColdExperts } from '../../../worker/shard/cold-experts.ts';
import { Dispatcher } from '../../../worker/shard/dispatcher.ts';
import type { LayerReplicas } from '../../../worker/shard/replicas.ts';
import { shardService } from '../../../worker/shard/server.ts';
import { Targets } from '../../../worker/shard/targets.ts';
import { type CacheFields, CacheGuard } from '../../../worker/wire/cache-claim.ts';
import { shardServerDefinition } from '../../../worker/wire/definition.ts';
import { ShardFailure } from '../../../worker/wire/failure.ts';
import { encodeForwardRequest } from '../../../worker/wire/frame.ts';

const HIDDEN = 8;
const EXPERTS = 6;
const LAYER = 2;
const DEADLINE_MS = 2_000;

/** Expert e multiplies its input by e + 1: simple enough to check sums by hand. */
function multiply({ rowCount, rows, topK, topkIds, topkWeights }: ExpertRows): EncodedTotals {
  const input = new Float32Array(new Uint8Array(rows).buffer);
  const output = new Float64Array(rowCount * HIDDEN);
  for (let row = 0; row < rowCount; row++) {
    for (let j = 0; j < topK; j++) {
      const id = topkIds[row * topK + j] ?? -1;
      const weight = topkWeights[row * topK + j] ?? 0;
      if (id < 0) continue;
      for (let i = 0; i < HIDDEN; i++) {
        output[row * HIDDEN + i] = (output[row * HIDDEN + i] ?? 0) + weight * (id + 1) * (input[row * HIDDEN + i] ?? 0);
      }
    }
  }
  return { type: 'f64', partial: new Uint8Array(output.buffer) };
}

type Forward = ExpertBank['forward'];

/** A bank that holds every slot and answers as given. */
function bankOf(forward: Forward): ExpertBank {
  return {
    load: async (slots) => slots.map((slot) => ({ ...slot, checksum: 0, bytes: 1 })),
    unload: () => undefined,
    has: () => true,
    forward,
    slotCount: 0,
    bytes: 0,
    close: () => undefined,
  };
}

interface Running {
  readonly address: string;
  kill(): void;
}

const cleanups: (() => void)[] = [];

/** A rank whose attention changes nothing. */
const rank: RankShard = {
  attention: async ({ rows }) => ({ type: 'i32', partial: Uint8Array.from(rows) }),
  ffn: () => Promise.reject(new Error('no dense part here')),
  bytes: 0,
  close: () => undefined,
};

async function startWorker(
  forward: Forward,
  address = '127.0.0.1:0',
  epoch = 1,
  session: WorkerSession | null = null,
): Promise<Running> {
  const server = new Server(dataChannelOptions);
  const guard = new CacheGuard(0);
  const shards = {
    bank: bankOf(forward),
    rank: (_pipeline: string, cache: CacheFields) => {
      guard.admit(cache);
      return rank;
    },
    denseRank: () => undefined,
    epoch: () => epoch,
    hidden: HIDDEN,
    expertWidth: () => HIDDEN,
  };
  const observer = { onForward: () => undefined, onRefused: () => undefined };
  server.addService(shardServerDefinition(), { ...shardService({ shards, session, observer }) });
  return listen(server, address);
}

async function listen(server: Server, address: string): Promise<Running> {
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  const kill = (): void => server.forceShutdown();
  cleanups.push(kill);
  return { address: `127.0.0.1:${port}`, kill };
}

type Liar = ServerDuplexStream<ForwardRequest, ForwardResponse>;

/** A worker that answers probes, and every dispatch as given. */
async function startLiar(answer: (request: ForwardRequest, honest: ForwardResponse, stream: Liar) => void) {
  const server = new Server(dataChannelOptions);
  server.addService(conclave.ShardService.service, {
    Forward: (stream: Liar) => {
      stream.on('data', (request: ForwardRequest) => {
        const { dispatchId, rowCount, rows, topK, topkIds, topkWeights } = request;
        const ids = new Int32Array(Uint8Array.from(topkIds).buffer);
        const weights = new Float32Array(Uint8Array.from(topkWeights).buffer);
        const grid = new Int32Array(rowCount);
        const experts = { layer: LAYER, rowCount, rows, grid, topK, topkIds: ids, topkWeights: weights };
        const { partial } = multiply({ ...experts, type: 'f32' });
        const dtype = 'DATA_TYPE_F64';
        const honest = { dispatchId, epoch: 1, rowCount, dtype, partial: Buffer.from(partial) } as const;
        if (rowCount === 0) stream.write(honest);
        else answer(request, honest, stream);
      });
      stream.on('error', () => undefined);
      stream.sendMetadata(new Metadata());
    },
  });
  return listen(server, '127.0.0.1:0');
}

interface Cluster {
  readonly dispatcher: Dispatcher;
  readonly targets: Targets;
  readonly failures: ShardFailure[];
  readonly cold: ExpertSlot[];
  readonly retries: string[];
  readonly hedges: string[];
}

/** A stage whose expert e is held by the workers that `holders` lists for it (numbers from 1). */
async function startStage(
  workers: readonly Running[],
  holders: readonly (readonly number[])[],
  hedgeMs: number | null = null,
): Promise<Cluster> {
  const [failures, cold, retries, hedges]: [ShardFailure[], ExpertSlot[], string[], string[]] = [[], [], [], []];
  const targets = new Targets({
    credentials: credentials.createInsecure(),
    metadata: () => new Metadata(),
    health: { now: () => performance.now(), minDeadlineMs: DEADLINE_MS, maxDeadlineMs: DEADLINE_MS },
    onFailure: (failure) => failures.push(failure),
    probeIntervalMs: 10,
  });
  cleanups.push(() => targets.close());
  targets.update(workers.map(({ address }, i) => ({ id: `w${i + 1}`, address })));
  await vi.waitFor(() => expect(targets.states().every(({ usable }) => usable)).toBe(true));
  const replicas: LayerReplicas = { layer: LAYER, slices: 1, targets: holders };
  const dispatcher = new Dispatcher({
    pipeline: 'p0',
    hidden: HIDDEN,
    expertWidth: () => HIDDEN,
    target: (target) => targets.get(target),
    replicas: () => replicas,
    health: targets,
    bank: bankOf(async () => Promise.reject(new Error('the stage holds no expert'))),
    cold: new ColdExperts(
      bankOf(async (rows) => multiply(rows)),
      () => 0,
      (slots) => cold.push(...slots),
    ),
    observer: {
      onAnswer: () => undefined,
      onRetry: (failure) => retries.push(failure.code),
      onHedge: (peer) => hedges.push(peer),
      onColdRows: () => undefined,
    },
    rankDeadlineMs: 1_000,
    hedgeMs,
  });
  return { dispatcher, targets, failures, cold, retries, hedges };
}

/** Rows that all ask for every expert, sent to `target`. */
function dispatchTo(target: number, rowCount = 3): Dispatch {
  const rows = Float32Array.from({ length: rowCount * HIDDEN }, (_, i) => i + 1);
  const topkIds = Int32Array.from({ length: rowCount * EXPERTS }, (_, i) => i % EXPERTS);
  const topkWeights = new Float32Array(rowCount * EXPERTS).fill(0.5);
  return {
    index: 0,
    target,
    dense: false,
    rowIndices: Int32Array.from({ length: rowCount }, (_, i) => i),
    experts: {
      layer: LAYER,
      rowCount,
      type: 'f32',
      rows: new Uint8Array(rows.buffer),
      grid: new Int32Array(rowCount),
      topK: EXPERTS,
      topkIds,
      topkWeights,
    },
  };
}

async function total({ dispatcher }: Cluster, dispatch: Dispatch): Promise<number[]> {
  const step = { kind: 'dispatch', step: 1, layer: LAYER, operator: 'ffn', dispatches: [dispatch] } as const;
  const sum = new Float32Array(dispatch.experts.rowCount * HIDDEN);
  for (const { rowIndices, partial } of await dispatcher.collect(step, 1, null)) {
    const values = new Float64Array(new Uint8Array(partial).buffer);
    rowIndices.forEach((row, i) => {
      for (let j = 0; j < HIDDEN; j++)
        sum[row * HIDDEN + j] = (sum[row * HIDDEN + j] ?? 0) + (values[i * HIDDEN + j] ?? 0);
    });
  }
  return [...sum];
}

/** What all experts together make of a dispatch: 0.5 times (1 + … + 6) times the input. */
function expected({ experts }: Dispatch): number[] {
  return [...new Float32Array(new Uint8Array(experts.rows).buffer)].map((value) => value * 10.5);
}

const answers: Forward = async (rows) => multiply(rows);
const everyone = (...workers: readonly number[]) => Array.from({ length: EXPERTS }, () => workers);

afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup();
});

describe('dispatches between workers', () => {
  it('are answered by the replica that they are sent to', async () => {
    const stage = await startStage([await startWorker(answers)], everyone(1));
    expect(await total(stage, dispatchTo(1))).toEqual(expected(dispatchTo(1)));
    expect(stage.retries).toEqual([]);
  });

  it('go to another replica at once when the worker dies while they run', async () => {
    const dying = await startWorker(() => new Promise(() => undefined));
    const stage = await startStage([dying, await startWorker(answers)], everyone(1, 2));
    const answer = total(stage, dispatchTo(1));
    dying.kill();
    expect(await answer).toEqual(expected(dispatchTo(1)));
    expect(stage.retries).toEqual(['PEER_LOST']);
    expect(stage.targets.usable(1)).toBe(false);
  });

  it('go to another replica when the worker is silent past the deadline', async () => {
    const silent = await startWorker(() => new Promise(() => undefined));
    const stage = await startStage([silent, await startWorker(answers)], everyone(1, 2));
    expect(await total(stage, dispatchTo(1))).toEqual(expected(dispatchTo(1)));
    expect(stage.retries).toEqual(['DEADLINE']);
  });

  it('are split over several workers when no single one holds all the experts', async () => {
    const dead = await startWorker(() => Promise.reject(new Error('disk on fire')));
    const others = [await startWorker(answers), await startWorker(answers)];
    const stage = await startStage(
      [dead, ...others],
      [
        [1, 2],
        [1, 3],
        [1, 2],
        [1, 3],
        [1, 2],
        [1, 3],
      ],
    );
    expect(await total(stage, dispatchTo(1))).toEqual(expected(dispatchTo(1)));
    expect(stage.retries).toEqual(['REFUSED']);
  });

  it('are computed from the checkpoint where no replica is left', async () => {
    const dying = await startWorker(() => new Promise(() => undefined));
    const stage = await startStage([dying, await startWorker(answers)], [[1, 2], [1], [1, 2], [1], [1, 2], [1, 2]]);
    const answer = total(stage, dispatchTo(1));
    dying.kill();
    expect(await answer).toEqual(expected(dispatchTo(1)));
    expect(stage.cold.map(({ expert }) => expert)).toEqual([1, 3]);
  });

  it('go elsewhere when an answer has the wrong shape, and the worker leaves the routes', async () => {
    const liar = await startWorker(async () => ({ type: 'i32', partial: new Uint8Array(4) }));
    const stage = await startStage([liar, await startWorker(answers)], everyone(1, 2));
    expect(await total(stage, dispatchTo(1))).toEqual(expected(dispatchTo(1)));
    expect(stage.failures.map(({ code, peer }) => [code, peer])).toEqual([['POISONED', 'w1']]);
    expect(stage.targets.usable(1)).toBe(false);
  });

  it('never go to another worker that answers at the address', async () => {
    const session = (workerId: string) => ({ workerId, startedAtMs: 5 });
    const [first, second] = [
      await startWorker(answers, '127.0.0.1:0', 1, session('w1')),
      await startWorker(answers, '127.0.0.1:0', 1, session('w2')),
    ];
    const stage = await startStage([first, second], everyone(1, 2));
    expect(stage.targets.reached()).toEqual([session('w1'), session('w2')]);
    first.kill();
    await vi.waitFor(() => expect(stage.targets.usable(1)).toBe(false));
    let asked = 0;
    const stranger: Forward = async (rows) => {
      asked++;
      return multiply(rows);
    };
    await startWorker(stranger, first.address, 1, session('w3'));
    stage.targets.retryNow('w1');
    for (let round = 0; round < 20; round++) {
      expect(await total(stage, dispatchTo(1))).toEqual(expected(dispatchTo(1)));
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect([asked, stage.targets.reached()]).toEqual([0, [session('w2')]]);
  });

  it('go elsewhere when the worker knows only an older plan', async () => {
    const stale = await startWorker(answers, '127.0.0.1:0', 0);
    const stage = await startStage([stale, await startWorker(answers)], everyone(1, 2));
    expect(await total(stage, dispatchTo(1))).toEqual(expected(dispatchTo(1)));
    expect(stage.failures.map(({ message }) => message)).toEqual([
      'worker w1: answered under plan 0; plan 1 is in force',
    ]);
  });

  it.each<{ name: string; lie: Partial<ForwardResponse>; copies?: number }>([
    { name: 'answers more rows than it was asked for', lie: { rowCount: 0xffff_ffff } },
    { name: 'answers with more bytes than it was asked for', lie: { partial: Buffer.alloc(2 ** 24) } },
    { name: 'answers in another type', lie: { dtype: 'DATA_TYPE_BF16' } },
    { name: 'answers in a type of another width', lie: { dtype: 'DATA_TYPE_I24' } },
    { name: 'answers under an old plan', lie: { epoch: 0 } },
    { name: 'answers what nobody asked', lie: { dispatchId: 10_000 } },
    { name: 'answers twice', lie: {}, copies: 2 },
  ])('go elsewhere when a worker $name, and it leaves the routes', async ({ lie, copies = 1 }) => {
    const liar = await startLiar((_, honest, stream) => {
      for (let copy = 0; copy < copies; copy++) stream.write({ ...honest, ...lie });
    });
    const stage = await startStage([liar, await startWorker(answers)], everyone(1, 2));
    expect(await total(stage, dispatchTo(1))).toEqual(expected(dispatchTo(1)));
    await vi.waitFor(() =>
      expect(stage.failures.map(({ code, peer }) => [code, peer])).toContainEqual(['POISONED', 'w1']),
    );
    expect(stage.targets.usable(1)).toBe(false);
    expect(stage.targets.usable(2)).toBe(true);
  });

  it('cut a worker off that sends answers without end, at the first that nobody asked for', async () => {
    let sent = 0;
    let cut: () => void = () => undefined;
    const ended = new Promise<void>((resolve) => {
      cut = resolve;
    });
    const liar = await startLiar((_, honest, stream) => {
      const flood = (): void => {
        while (!stream.cancelled && stream.write({ ...honest, dispatchId: 2 ** 40 + sent })) sent++;
      };
      stream.on('drain', flood);
      stream.on('cancelled', cut);
      flood();
    });
    const stage = await startStage([liar, await startWorker(answers)], everyone(1, 2));
    expect(await total(stage, dispatchTo(1))).toEqual(expected(dispatchTo(1)));
    await ended;
    expect(stage.failures[0]?.message).toMatch(/^worker w1: answered \d+, which is no request that waits/);
    expect(stage.targets.usable(1)).toBe(false);
  });

  it('take an answer that comes after its deadline for what it is', async () => {
    let late: () => void = () => undefined;
    const slow = await startLiar((_, honest, stream) => {
      late = () => stream.write(honest);
    });
    const stage = await startStage([slow, await startWorker(answers)], everyone(1, 2));
    expect(await total(stage, dispatchTo(1))).toEqual(expected(dispatchTo(1)));
    late();
    await vi.waitFor(() => expect(stage.targets.usable(1)).toBe(true));
    expect(stage.failures.map(({ code }) => code)).toEqual(['DEADLINE']);
  });

  it('count an answer that is not finite as a failure of its worker', async () => {
    const stage = await startStage([await startWorker(answers), await startWorker(answers)], everyone(1, 2));
    const step = { kind: 'dispatch', step: 1, layer: LAYER, operator: 'ffn', dispatches: [dispatchTo(1)] } as const;
    const [partial] = await stage.dispatcher.collect(step, 1, null);
    const replaced = await partial?.again?.(new ShardFailure('POISONED', 'w1', 'partials[0] is not finite'));
    expect(replaced?.map(({ peer }) => peer)).toEqual(['w2']);
    expect(stage.failures.map(({ code, peer }) => [code, peer])).toEqual([['POISONED', 'w1']]);
    expect(stage.targets.usable(1)).toBe(false);
  });

  it('also go to another replica past the hedge deadline, and the first answer counts', async () => {
    const slow = await startWorker(() => new Promise(() => undefined));
    const stage = await startStage([slow, await startWorker(answers)], everyone(1, 2), 20);
    expect(await total(stage, dispatchTo(1))).toEqual(expected(dispatchTo(1)));
    expect(stage.hedges).toEqual(['w1']);
    expect(stage.retries).toEqual([]); // It did not wait for the deadline.
  });

  it('use a worker again once it has come back', async () => {
    const first = await startWorker(answers);
    const stage = await startStage([first, await startWorker(answers)], everyone(1, 2));
    first.kill();
    await vi.waitFor(() => expect(stage.targets.usable(1)).toBe(false));
    await startWorker(answers, first.address);
    await vi.waitFor(() => expect(stage.targets.usable(1)).toBe(true), { timeout: 5_000 });
    expect(await total(stage, dispatchTo(1))).toEqual(expected(dispatchTo(1)));
  });
});

describe('a shard worker', () => {
  /** A client that sends bytes as they are. */
  function rawStream(address: string) {
    const client = new Client(address, credentials.createInsecure(), { 'grpc.max_send_message_length': -1 });
    cleanups.push(() => client.close());
    const same = (bytes: Buffer): Buffer => bytes;
    return client.makeBidiStreamRequest('/conclave.v1.ShardService/Forward', same, same, new Metadata());
  }

  it.each([
    { name: 'garbage', bytes: Buffer.alloc(64, 0xff), code: status.INTERNAL },
    {
      name: 'a message over the limit',
      bytes: Buffer.alloc(MAX_DATA_MESSAGE_BYTES + 1),
      code: status.RESOURCE_EXHAUSTED,
    },
  ])('ends the stream of a peer that sends $name, and serves the others on', async ({ bytes, code }) => {
    const worker = await startWorker(answers);
    const stage = await startStage([worker], everyone(1));
    const stream = rawStream(worker.address);
    const ended = new Promise<number>((resolve) =>
      stream.on('error', (error: Error & { code: number }) => resolve(error.code)),
    );
    stream.on('data', () => undefined);
    stream.write(bytes);
    expect(await ended).toBe(code);
    expect(await total(stage, dispatchTo(1))).toEqual(expected(dispatchTo(1)));
  });

  it('ends the stream of a peer that sends nothing but nonsense, and serves the others on', async () => {
    const worker = await startWorker(answers);
    const stage = await startStage([worker], everyone(1));
    const client = new conclave.ShardService(worker.address, credentials.createInsecure());
    cleanups.push(() => client.close());
    const stream = client.Forward();
    let refused = 0;
    const ended = new Promise<ServiceError>((resolve) => stream.on('error', resolve));
    stream.on('data', () => refused++);
    for (let id = 0; id < 1_000; id++) stream.write({ dispatchId: id, rowCount: 7 });
    expect(await ended).toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
      details: expect.stringMatching(/^256 dispatches in a row were refused, the last one because: /),
    });
    expect(refused).toBe(256);
    expect(await total(stage, dispatchTo(1))).toEqual(expected(dispatchTo(1)));
  });

  it('reads no more from a peer that does not read its answers, and serves the others on', async () => {
    let forwards = 0;
    const worker = await startWorker(async (rows) => {
      forwards++;
      return multiply(rows);
    });
    const stage = await startStage([worker], everyone(1));
    const session = connect(`http://${worker.address}`);
    cleanups.push(() => session.destroy());
    const path = '/conclave.v1.ShardService/Forward';
    const stream = session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    stream.on('error', () => undefined); // The session is destroyed at the end.
    const rowCount = 2 ** 15;
    const ids = Buffer.alloc(rowCount * 4);
    const type = 'DATA_TYPE_F32';
    const message = encodeForwardRequest(
      {
        ...{ layer: LAYER, operator: 'OPERATOR_FFN', dtype: type, rowCount, grid: ids },
        ...{ rows: Buffer.alloc(rowCount * HIDDEN * 4), topK: 1, topkIds: ids, topkWeights: ids },
      },
      1,
      5_000,
      Buffer.alloc,
    );
    const head = Buffer.alloc(5); // Not compressed, and so long.
    head.writeUInt32BE(message.length, 1);
    let sent = 0;
    const write = (): void => {
      while (sent < 400 && stream.write(Buffer.concat([head, message]))) sent++;
    };
    stream.on('drain', write);
    write();
    // Answers of 1 MiB stop at the window of 64 KiB: 16 wait in the worker's queue, then it stops to read.
    await vi.waitFor(() => expect(forwards).toBeGreaterThanOrEqual(16), { timeout: 10_000 });
    await vi.waitFor(
      async () => {
        const before = forwards;
        await new Promise((resolve) => setTimeout(resolve, 300));
        expect(forwards).toBe(before);
      },
      { timeout: 20_000 },
    );
    // Those in its queue, and those that ran or had been read when the queue was full.
    expect(forwards).toBeLessThan(100);
    expect(await total(stage, dispatchTo(1))).toEqual(expected(dispatchTo(1)));
  });

  it('takes attention rows from the lead whose cache it holds, and refuses those of one that was replaced', async () => {
    const worker = await startWorker(answers);
    const client = new conclave.ShardService(worker.address, credentials.createInsecure());
    cleanups.push(() => client.close());
    const stream = client.Forward();
    stream.on('error', () => undefined); // The client is closed at the end.
    const type = 'DATA_TYPE_F32';
    const ask = (cache: CacheFields, dispatchId: number): Promise<string> =>
      new Promise((resolve) => {
        stream.once('data', ({ error }: ForwardResponse) => resolve(error?.code ?? 'ok'));
        stream.write({
          ...{ dispatchId, pipeline: 'p0', layer: LAYER, operator: 'OPERATOR_ATTENTION', dtype: type },
          ...{ rowCount: 1, rows: Buffer.alloc(HIDDEN * 4), grid: Buffer.alloc(4) },
          attention: cache,
        });
      });
    const [old, next] = [
      { cacheId: 2 ** 47, cacheEpoch: 1 },
      { cacheId: 7, cacheEpoch: 2 },
    ];
    expect(await ask({ ...old, cacheFresh: true }, 1)).toBe('ok');
    expect(await ask({ ...old, cacheFresh: false }, 2)).toBe('ok');
    expect(await ask({ ...next, cacheFresh: true }, 3)).toBe('ok');
    expect(await ask({ ...old, cacheFresh: false }, 4)).toBe('CACHE_LOST');
    expect(await ask({ ...old, cacheFresh: true }, 5)).toBe('CACHE_LOST');
    expect(await ask({ ...next, cacheFresh: false }, 6)).toBe('ok');
  });

  it('refuses requests whose arrays do not fit, by field, and keeps the stream', async () => {
    const worker = await startWorker(answers);
    const client = new conclave.ShardService(worker.address, credentials.createInsecure());
    cleanups.push(() => client.close());
    const stream = client.Forward();
    stream.on('error', () => undefined); // The client is closed at the end.
    const good = {
      pipeline: 'p0',
      layer: LAYER,
      operator: 'OPERATOR_FFN',
      dtype: 'DATA_TYPE_F32',
      rowCount: 1,
      rows: Buffer.alloc(32),
      grid: Buffer.alloc(4),
      topK: 1,
      topkIds: Buffer.alloc(4),
      topkWeights: Buffer.alloc(4),
    } as const;
    const bad = [
      { request: { ...good, rows: Buffer.alloc(31) }, message: 'rows: expected 32 bytes, got 31' },
      { request: { ...good, grid: Buffer.alloc(3) }, message: 'grid: expected 4 bytes, got 3' },
      { request: { ...good, topkIds: Buffer.alloc(8) }, message: 'topk_ids: expected 4 bytes, got 8' },
      { request: { ...good, topkWeights: Buffer.alloc(0) }, message: 'topk_weights: expected 4 bytes, got 0' },
      { request: { ...good, dtype: 'DATA_TYPE_I32' }, message: 'dtype: expected BF16 or F32, got DATA_TYPE_I32' },
      {
        request: { ...good, operator: 'OPERATOR_UNSPECIFIED' },
        message: 'operator: expected attention or ffn, got OPERATOR_UNSPECIFIED',
      },
      {
        request: { ...good, operator: 'OPERATOR_ATTENTION' },
        message: 'attention: expected positions and cache blocks, got nothing',
      },
      {
        request: { ...good, topK: 0, topkIds: Buffer.alloc(0), topkWeights: Buffer.alloc(0) },
        message: 'top_k, dense: expected experts, a dense slice or both',
      },
      {
        request: { ...good, dense: true },
        message: `no dense slice of layer ${LAYER} of pipeline "p0" is loaded here`,
      },
      { request: { ...good, rowCount: 0xffffffff }, message: 'rows: expected 137438953440 bytes, got 32' },
    ] as const;
    const messages = new Map<number, string>();
    const all = new Promise<void>((resolve) => {
      stream.on('data', ({ dispatchId, error }: { dispatchId: number; error: { message: string } | null }) => {
        messages.set(dispatchId, error?.message ?? 'ok');
        if (messages.size === bad.length + 1) resolve();
      });
    });
    bad.forEach(({ request }, i) => {
      stream.write({ ...request, dispatchId: i });
    });
    stream.write({ ...good, dispatchId: bad.length });
    await all;
    expect(bad.map((_, i) => messages.get(i))).toEqual(bad.map(({ message }) => message));
    expect(messages.get(bad.length)).toBe('ok');
    stream.end();
  });
});

// The service definition is what clients of other languages see; a change of it is a change of the wire.
it('serves one bidirectional stream', () => {
  const definition: ServiceDefinition = conclave.ShardService.service;
  expect(
    Object.values(definition).map(({ path, requestStream, responseStream }) => [path, requestStream, responseStream]),
  ).toEqual([['/conclave.v1.ShardService/Forward', true, true]]);
});

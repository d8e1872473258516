import { connect } from 'node:http2';
import { credentials, Metadata, Server, ServerCredentials, type ServiceError, status } from '@grpc/grpc-js';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { StepBatch, StepOutput } from '../../../native/native.ts';
import { dataChannelOptions } from '../../../platform/rpc/channel.ts';
import type { StepResponse__Output as StepResponse } from '../../../proto/generated/conclave/v1/StepResponse.ts';
import type { Tensor } from '../../../proto/generated/conclave/v1/Tensor.ts';
import { conclave, encode } from '../../../proto/messages.ts';
import { NextStageClient } from '../../../worker/stage/next-stage-client.ts';
import { serveSteps } from '../../../worker/stage/step-service.ts';
import { type CacheFields, CacheGuard } from '../../../worker/wire/cache-claim.ts';
import { RankLost } from '../../../worker/wire/failure.ts';

const HIDDEN = 4;
/** One row on the wire. */
const hidden: Tensor = { dtype: 'DATA_TYPE_F32', shape: [1, HIDDEN], data: Buffer.alloc(16) };
const fresh: CacheFields = { cacheId: 1, cacheFresh: true, cacheEpoch: 1 };

/** One sequence of so many rows, whose last row's token is wanted. */
function batchOf(rows: number): StepBatch {
  return {
    tokenIds: new Int32Array(rows),
    positions: Int32Array.from({ length: rows }, (_, i) => i),
    sequenceOffsets: Int32Array.of(0, rows),
    blockTables: Int32Array.of(0),
    blockOffsets: Int32Array.of(0, 1),
    stateSlots: Int32Array.of(3),
    hidden: null,
    logits: {
      rows: Int32Array.of(rows - 1),
      targets: Int32Array.of(-1),
      logprobs: Int32Array.of(-1),
      sampling: [null],
      positions: Int32Array.of(rows),
      sequenceIndices: Int32Array.of(0),
      promptTokens: [null],
      outputTokens: [null],
      filters: [null],
    },
  };
}

/** What samples `tokens`, without log-probabilities. */
function outputOf(...tokens: readonly number[]): StepOutput {
  return {
    tokens: Int32Array.from(tokens),
    logprobs: new Float32Array(tokens.length),
    topOffsets: new Int32Array(tokens.length + 1),
    topTokens: new Int32Array(0),
    topLogprobs: new Float32Array(0),
  };
}

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup();
});

type Run = (batch: StepBatch) => Promise<StepOutput>;

/** A stage that answers as given, for pipeline "p0". */
async function startStage(run: Run): Promise<{ readonly address: string; kill(): void }> {
  const server = new Server(dataChannelOptions);
  const guard = new CacheGuard(0);
  server.addService(conclave.StageService.service, {
    Run: () => undefined,
    Step: (stream: Parameters<typeof serveSteps>[0]) =>
      serveSteps(stream, (pipeline, cache) => {
        if (pipeline !== 'p0') return null;
        guard.admit(cache);
        return { run };
      }),
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  const kill = (): void => server.forceShutdown();
  cleanups.push(kill);
  return { address: `127.0.0.1:${port}`, kill };
}

async function connectTo(address: string, pipeline = 'p0', deadlineMs = 5_000): Promise<NextStageClient> {
  const channel = credentials.createInsecure();
  const client = new NextStageClient({
    id: 's2',
    address,
    pipeline,
    credentials: channel,
    metadata: () => new Metadata(),
    deadlineMs,
  });
  cleanups.push(() => client.close());
  await vi.waitFor(() => expect(client.connected).toBe(true));
  return client;
}

function step(client: NextStageClient, cache = fresh, rows = 3): Promise<StepOutput> {
  return client.step(new Uint8Array(rows * HIDDEN * 4), batchOf(rows), 1, cache);
}

/** Why the cache counts as lost. */
function reason(asked: Promise<unknown>): Promise<string> {
  return asked.then(
    () => 'none',
    (error: unknown) => {
      expect(error).toBeInstanceOf(RankLost);
      return (error as { cause: Error }).cause.message;
    },
  );
}

describe('the client of the next stage', () => {
  it('brings rows there and tokens back', async () => {
    const seen: StepBatch[] = [];
    const stage = await startStage(async (batch) => {
      seen.push(batch);
      return outputOf(42);
    });
    const output = await step(await connectTo(stage.address));
    expect([...output.tokens]).toEqual([42]);
    expect([...(seen[0]?.positions ?? [])]).toEqual([0, 1, 2]);
    expect(seen[0]?.hidden?.byteLength).toBe(3 * HIDDEN * 4);
  });

  it.each([
    {
      name: 'answers for another number of rows',
      run: async () => outputOf(1, 2),
      message: 'answered 2 tokens; expected 1',
    },
    {
      name: 'cannot compute',
      run: () => Promise.reject(new Error('out of paper')),
      message: 'worker s2: out of paper',
    },
    {
      name: 'is silent',
      run: () => new Promise<never>(() => undefined),
      message: 'worker s2: no answer within 200 ms',
    },
  ])('says that the cache is lost when the stage $name', async ({ run, message }) => {
    const stage = await startStage(run);
    expect(await reason(step(await connectTo(stage.address, 'p0', 200)))).toBe(message);
  });

  it('says that the cache is lost when the stage dies, holds no such pipeline, or another lead has taken it over', async () => {
    const stage = await startStage(async () => outputOf(1));
    const client = await connectTo(stage.address);
    await step(client);
    const next = await connectTo(stage.address);
    await step(next, { cacheId: 2, cacheFresh: true, cacheEpoch: 2 });
    expect(await reason(step(client, { ...fresh, cacheFresh: false }))).toMatch(
      /plan 2 gave this cache to another worker, got 1$/,
    );
    expect(await reason(step(await connectTo(stage.address, 'p7')))).toMatch(
      /no stage of pipeline "p7" is loaded here$/,
    );
    const asked = reason(step(next, { cacheId: 2, cacheFresh: false, cacheEpoch: 2 }));
    stage.kill();
    expect(await asked).toMatch(/^worker s2: /);
  });
});

describe('a later stage', () => {
  function raw(address: string) {
    const client = new conclave.StageService(address, credentials.createInsecure(), dataChannelOptions);
    cleanups.push(() => client.close());
    const stream = client.Step(new Metadata());
    const ended = new Promise<ServiceError>((resolve) => stream.on('error', resolve));
    return { stream, ended };
  }

  it('takes so many steps of one stream at a time and refuses the others', async () => {
    const stage = await startStage(() => new Promise(() => undefined));
    const { stream } = raw(stage.address);
    const errors: string[] = [];
    stream.on('data', ({ error }: StepResponse) => errors.push(error ?? ''));
    for (let stepId = 1; stepId <= 20; stepId++) stream.write({ ...fresh, stepId, pipeline: 'p0', hidden, batch: {} });
    await vi.waitFor(() => expect(errors).toHaveLength(4));
    expect(new Set(errors)).toEqual(new Set(['16 steps of this stream are in flight (limit 16)']));
  });

  it('ends the stream of a peer that sends nothing but nonsense, and serves the others on', async () => {
    const stage = await startStage(async () => outputOf(1));
    const client = await connectTo(stage.address);
    const { stream, ended } = raw(stage.address);
    let refused = 0;
    stream.on('data', () => refused++);
    for (let stepId = 1; stepId <= 1_000; stepId++) stream.write({ stepId, pipeline: 'nowhere' });
    expect(await ended).toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
      details: expect.stringMatching(/^256 steps in a row were refused, the last one because: /),
    });
    expect(refused).toBe(256);
    expect([...(await step(client)).tokens]).toEqual([1]);
  });

  it('reads no more from a peer that does not read its answers', async () => {
    let steps = 0;
    const stage = await startStage(async () => {
      steps++;
      return outputOf(...new Int32Array(20_000));
    });
    const session = connect(`http://${stage.address}`);
    cleanups.push(() => session.destroy());
    const path = '/conclave.v1.StageService/Step';
    const stream = session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    stream.on('error', () => undefined); // The session is destroyed at the end.
    const message = encode(conclave.StepRequest, { ...fresh, stepId: 1, pipeline: 'p0', hidden, batch: {} });
    const head = Buffer.alloc(5); // Not compressed, and so long.
    head.writeUInt32BE(message.length, 1);
    for (let i = 0; i < 500; i++) stream.write(Buffer.concat([head, message]));
    await vi.waitFor(() => expect(steps).toBeGreaterThanOrEqual(16));
    await vi.waitFor(async () => {
      const before = steps;
      await new Promise((resolve) => setTimeout(resolve, 300));
      expect(steps).toBe(before);
    });
    // Those in its queue, and those that ran when the queue was full; the rest was refused or never read.
    expect(steps).toBeLessThan(64);
  });

  it('bounds the headers of a call', async () => {
    const stage = await startStage(async () => outputOf(1));
    const session = connect(`http://${stage.address}`, { maxSendHeaderBlockLength: 2 ** 20 });
    cleanups.push(() => session.destroy());
    session.on('error', () => undefined); // It may be the whole connection that ends.
    const call = (padding: string): Promise<string> =>
      new Promise((resolve) => {
        const head = {
          ':method': 'POST',
          ':path': '/conclave.v1.StageService/Step',
          'content-type': 'application/grpc',
        };
        const stream = session.request({ ...head, te: 'trailers', padding });
        stream.on('response', ({ ':status': code }) => resolve(String(code)));
        stream.on('error', () => resolve('refused'));
        stream.on('close', () => resolve('refused'));
      });
    expect(await call('x')).toBe('200');
    expect(await call('x'.repeat(100_000))).not.toBe('200');
    expect([...(await step(await connectTo(stage.address))).tokens]).toEqual([1]);
  });
});

// A worker that a rollout leaves in two pipelines, which slice the same layer differently.
import { credentials, Metadata, Server, ServerCredentials } from '@grpc/grpc-js';
import { afterEach, expect, it, vi } from 'vitest';
import type { EncodedTotals, ExpertBank, OperatorShare, RankShard } from '../../../native/native.ts';
import { dataChannelOptions } from '../../../platform/rpc/channel.ts';
import type { ForwardResponse__Output as ForwardResponse } from '../../../proto/generated/conclave/v1/ForwardResponse.ts';
import { conclave, decode, encode, type ModelSpec } from '../../../proto/messages.ts';
import { ColdExperts } from '../../../worker/shard/cold-experts.ts';
import { shardService } from '../../../worker/shard/server.ts';
import { Targets } from '../../../worker/shard/targets.ts';
import type { SeatOptions } from '../../../worker/stage/seat-options.ts';
import type { SeatSpec } from '../../../worker/stage/seat-spec.ts';
import { StageHost } from '../../../worker/stage/stage-host.ts';
import { shardServerDefinition } from '../../../worker/wire/definition.ts';

const HIDDEN = 4;
const cleanups: (() => void | Promise<void>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const noBank: ExpertBank = {
  load: () => Promise.resolve([]),
  unload: () => undefined,
  has: () => false,
  forward: () => Promise.reject(new Error('no expert here')),
  slotCount: 0,
  bytes: 0,
  close: () => undefined,
};

/** Worker "a" has rank 1 of both: the second half of the dense part in p0, a middle quarter in p1. */
const plan = decode(
  conclave.PlacementPlan,
  encode(conclave.PlacementPlan, {
    epoch: 1,
    blockSize: 16,
    workers: [
      { id: 'lead', address: '127.0.0.1:1' },
      { id: 'a', address: '127.0.0.1:2' },
    ],
    pipelines: [
      { id: 'p0', kvBlocks: 4, stages: [stage(0, 4, { begin: 1, end: 2, parts: 2 })] },
      { id: 'p1', kvBlocks: 4, stages: [stage(0, 2, { begin: 1, end: 2, parts: 4 })] },
    ],
  }),
);

function stage(firstLayer: number, endLayer: number, share: OperatorShare) {
  return {
    firstLayer,
    endLayer,
    ranks: [
      { worker: 0, share: { begin: 0, end: 1, parts: 1 } },
      { worker: 1, share },
    ],
  };
}

/** A rank whose every element says into how many parts its dense part is sliced. */
function rankShard({ rank }: SeatSpec): Promise<RankShard> {
  const totals = (rowCount: number): EncodedTotals => ({
    type: 'i32',
    partial: new Uint8Array(new Int32Array(rowCount * HIDDEN).fill(rank.share.parts).buffer),
  });
  return Promise.resolve({
    attention: () => Promise.reject(new Error('no attention here')),
    ffn: async ({ rowCount }) => totals(rowCount),
    bytes: 0,
    close: () => undefined,
  });
}

async function startWorker(): Promise<string> {
  const targets = new Targets({
    credentials: credentials.createInsecure(),
    metadata: () => new Metadata(),
    health: { now: () => performance.now(), minDeadlineMs: 1_000, maxDeadlineMs: 1_000 },
    onFailure: () => undefined,
  });
  const seat = {
    targets,
    cold: new ColdExperts(
      noBank,
      () => 0,
      () => undefined,
    ),
    createRankShard: rankShard,
    onProgress: () => undefined,
  } as unknown as SeatOptions; // Of these alone a rank's seat is made.
  const host = new StageHost({
    workerId: 'a',
    spec: { layers: [] } as unknown as ModelSpec,
    seat,
    holders: () => [],
    onChange: () => undefined,
  });
  cleanups.push(
    () => targets.close(),
    () => host.close(),
  );
  host.follow(plan, plan);
  await vi.waitFor(() => expect(host.readyPipelines).toEqual(['p0', 'p1']));
  const shards = {
    bank: noBank,
    hidden: HIDDEN,
    expertWidth: () => HIDDEN,
    rank: host.rank.bind(host),
    denseRank: host.denseRank.bind(host),
    epoch: () => 1,
  };
  const observer = { onForward: () => undefined, onRefused: () => undefined };
  const server = new Server(dataChannelOptions);
  server.addService(shardServerDefinition(), { ...shardService({ shards, session: null, observer }) });
  cleanups.push(() => server.forceShutdown());
  return new Promise((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) =>
      error ? reject(error) : resolve(`127.0.0.1:${port}`),
    );
  });
}

it('answers each dense request with the slice of the pipeline that it names, and refuses one that is not here', async () => {
  const client = new conclave.ShardService(await startWorker(), credentials.createInsecure());
  cleanups.push(() => client.close());
  const stream = client.Forward();
  stream.on('error', () => undefined); // The client is closed at the end.
  const ask = (pipeline: string, layer: number): Promise<number | string> =>
    new Promise((resolve) => {
      stream.once('data', ({ error, partial }: ForwardResponse) =>
        resolve(error === null ? partial.readInt32LE(0) : `${error.code}: ${error.message}`),
      );
      stream.write({
        ...{ dispatchId: 1, pipeline, layer, operator: 'OPERATOR_FFN', dtype: 'DATA_TYPE_F32', dense: true },
        ...{ rowCount: 1, rows: Buffer.alloc(HIDDEN * 4), grid: Buffer.alloc(4) },
      });
    });
  expect([await ask('p0', 1), await ask('p1', 1), await ask('p0', 3)]).toEqual([2, 4, 2]);
  const gone = (pipeline: string, layer: number): string =>
    `SLOT_NOT_LOADED: no dense slice of layer ${layer} of pipeline "${pipeline}" is loaded here`;
  expect([await ask('p1', 3), await ask('p2', 1), await ask('', 1)]).toEqual([
    gone('p1', 3),
    gone('p2', 1),
    gone('', 1),
  ]);
});

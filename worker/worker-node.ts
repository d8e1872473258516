/**
 * A worker process: native engine, shards, stages and the agent that follows the cluster's plans.
 *
 *   const node = await startWorkerNode({ native, bus, directory, … });
 *   …
 *   await node.drain(25_000);
 *   await node.close();
 */
import { randomInt } from 'node:crypto';
import type { ChannelCredentials, handleUnaryCall, ServerWritableStream } from '@grpc/grpc-js';
import type { Isa, Native } from '../native/native.ts';
import type { Bus } from '../proto/bus/bus.ts';
import { dataChannelOptions, MAX_DATA_MESSAGE_BYTES } from '../proto/channel.ts';
import { systemClock } from '../proto/clock.ts';
import type { IdentifyRequest__Output as IdentifyRequest } from '../proto/generated/conclave/v1/IdentifyRequest.ts';
import type { IdentifyResponse } from '../proto/generated/conclave/v1/IdentifyResponse.ts';
import type { RunRequest__Output } from '../proto/generated/conclave/v1/RunRequest.ts';
import type { RunResponse } from '../proto/generated/conclave/v1/RunResponse.ts';
import { MemberKeys } from '../proto/membership.ts';
import { conclave } from '../proto/messages.ts';
import { createGrpcServer, type TlsFiles } from '../proto/server.ts';
import { ActivityMeter } from './agent/activity-meter.ts';
import { ExpertAgent } from './agent/expert-agent.ts';
import { FailureEvents } from './agent/failure-events.ts';
import type { Readiness } from './agent/readiness.ts';
import { WorkerAgent } from './agent/worker-agent.ts';
import type { EngineObserver, EngineSnapshot } from './engine/observer.ts';
import { servedModel } from './served-model.ts';
import { ColdExperts } from './shard/cold-experts.ts';
import { shardServerDefinition } from './shard/definition.ts';
import type { DispatchObserver } from './shard/dispatcher.ts';
import type { ShardFailure } from './shard/failure.ts';
import { type ShardObserver, shardService } from './shard/server.ts';
import { Targets } from './shard/targets.ts';
import type { CacheFields } from './stage/cache-claim.ts';
import { plannedBytes } from './stage/cache-size.ts';
import { serveSteps } from './stage/hop.ts';
import { serveRun, stopSequenceHandler } from './stage/run-service.ts';
import { StageHost } from './stage/stage-host.ts';

export interface WorkerObserver extends DispatchObserver, ShardObserver {
  /** A peer failed; its rows went elsewhere. */
  onPeerFailure(failure: ShardFailure): void;
  /** Experts were loaded here because no replica answered. */
  onColdLoad(layer: number, experts: readonly number[]): void;
  /** An error that the worker survives. */
  onError(what: string, error: unknown): void;
  readonly engine: EngineObserver;
}

export interface WorkerNodeOptions {
  readonly native: Native;
  readonly bus: Bus;
  readonly cluster: string;
  readonly id: string;
  readonly node: string;
  readonly version: string;
  /** Checkpoint folder of the served model. */
  readonly directory: string;
  readonly roles: readonly ('stage' | 'expert')[];
  readonly memoryBytes: number;
  readonly threads: number;
  readonly isa: Isa | null;
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** Host by which others reach this worker. */
  readonly advertiseHost: string;
  readonly tls: TlsFiles | null;
  /** For connections to other workers. */
  readonly credentials: ChannelCredentials;
  readonly hedgeMs: number | null;
  /** Least milliseconds that a dispatch may take before its rows go elsewhere. */
  readonly dispatchDeadlineMs: number;
  readonly overlapRows: number;
  /** Whether requests reuse the cache blocks of prompts that begin alike. Default true. */
  readonly prefixCaching?: boolean;
  /** Milliseconds to wait for a controller to say what is served. */
  readonly modelDeadlineMs: number;
  readonly observer: WorkerObserver;
}

/** What a worker holds and does at one moment. */
export interface WorkerSnapshot {
  /** Epoch of the plan in force; 0 before the first. */
  readonly planEpoch: number;
  readonly slots: number;
  readonly expertBytes: number;
  /** Slots held only because no replica answers. */
  readonly coldSlots: number;
  /** Null on a worker that leads no pipeline. */
  readonly engine: EngineSnapshot | null;
  /** Ids of the requests that its pipeline runs. */
  readonly requestIds: readonly string[];
}

export interface WorkerNode {
  readonly address: string;
  readonly agent: WorkerAgent;
  /** What it holds and does at this moment. */
  snapshot(): WorkerSnapshot;
  /** Whether it does what the cluster wants of it. */
  readiness(): Readiness;
  /** Moves everything off this worker; resolves with whether that happened in time. */
  drain(deadlineMs: number): Promise<boolean>;
  close(): Promise<void>;
}

/** Longest that a dispatch may take, in milliseconds: a first one that finds everything cold. */
const MAX_DISPATCH_MS = 10_000;
/** Longest that a worker that nobody can replace may take, in milliseconds. */
const RANK_DEADLINE_MS = 30_000;

/** Joins a cluster. Rejects when no controller says what is served, or the checkpoint here does not fit it. */
export async function startWorkerNode(options: WorkerNodeOptions): Promise<WorkerNode> {
  const { native, bus, observer, credentials } = options;
  const closers: (() => void | Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    for (const closer of closers.splice(0).reverse()) await closer();
  };
  try {
    const model = await servedModel(bus, options.modelDeadlineMs);
    const { spec, weights } = model;
    const runtime = native.createRuntime({ threads: options.threads, isa: options.isa });
    closers.push(() => runtime.close());
    const store = await native.openWeights(runtime, { directory: options.directory, spec, weights });
    closers.push(() => store.close());
    const bank = native.createExpertBank(runtime, store);
    const coldBank = native.createExpertBank(runtime, store);
    closers.push(
      () => bank.close(),
      () => coldBank.close(),
    );

    const told = new FailureEvents({ bus, cluster: options.cluster, clock: systemClock, wallClock: Date.now });
    closers.push(() => told.close());
    const onFailure = (failure: ShardFailure): void => {
      observer.onPeerFailure(failure);
      told.tell(failure.code, `worker/${failure.peer}`, `seen by ${options.id}: ${failure.message}`);
    };
    const meter = new ActivityMeter();
    const dispatchObserver: DispatchObserver = {
      ...observer,
      onAnswer(peer, layer, rows, bytes, elapsedMs) {
        observer.onAnswer(peer, layer, rows, bytes, elapsedMs);
        meter.answered(elapsedMs);
      },
    };
    const engineObserver: EngineObserver = {
      ...observer.engine,
      onStep(step) {
        observer.engine.onStep(step);
        meter.generated(step.decodeTokens);
      },
      onFirstToken(requestId, index, sinceArrivalMs) {
        observer.engine.onFirstToken(requestId, index, sinceArrivalMs);
        meter.generated(1); // That of a prompt's last row.
      },
      onStepFailed: (error, retried, failed) => {
        observer.engine.onStepFailed(error, retried, failed);
        const reason = error instanceof Error ? error.message : String(error);
        const outcome = `${retried.length} sequences are computed again, ${failed.length} failed`;
        told.tell('STEP_FAILED', `worker/${options.id}`, `${reason}; ${outcome}`);
      },
    };
    const keys = new MemberKeys();
    const metadata = () => keys.metadata();
    const targets = new Targets({
      credentials,
      metadata,
      health: {
        now: () => performance.now(),
        minDeadlineMs: options.dispatchDeadlineMs,
        maxDeadlineMs: MAX_DISPATCH_MS,
      },
      onChange: () => (stages.dispatches ? agent.changed() : stages.refreshRoutes()),
      onFailure,
    });
    closers.push(() => targets.close());
    const spareBytes = (): number => {
      const { committed } = agent.view;
      return committed === null ? 0 : options.memoryBytes - plannedBytes(committed, options.id, spec, weights);
    };
    const cold = new ColdExperts(coldBank, spareBytes, (slots) => {
      const [layer, experts] = [slots[0]?.layer ?? 0, slots.map(({ expert }) => expert)];
      observer.onColdLoad(layer, experts);
      const message = `layer ${layer}, experts ${experts.join(', ')}: no replica answered, computed on the stage`;
      told.tell('COLD_LOAD', `worker/${options.id}`, message);
    });
    const dispatchType = weights === 'f32' ? 'f32' : 'bf16';
    const stages: StageHost = new StageHost({
      workerId: options.id,
      spec,
      holders: () => agent.holders(),
      onChange: () => agent.changed(),
      seat: {
        hidden: spec.hiddenSize,
        model: { vocabSize: spec.vocabSize, eosTokenIds: spec.eosTokenIds },
        limits: {
          maxModelLen: model.maxModelLen,
          maxSequences: model.maxNumSeqs,
          maxBatchedTokens: Math.max(model.maxNumBatchedTokens, model.maxNumSeqs),
        },
        targets,
        bank,
        cold,
        credentials,
        metadata,
        epoch: () => agent.view.committed?.epoch ?? 0,
        dispatchObserver,
        engineObserver,
        hedgeMs: options.hedgeMs,
        rankDeadlineMs: RANK_DEADLINE_MS,
        overlapRows: options.overlapRows,
        prefixCaching: options.prefixCaching ?? true,
        createStage: ({ rank, blockSize }, rankTargets, onProgress) =>
          native.createStage(
            runtime,
            store,
            bank,
            { ...rank, kvBlocks: rank.kvBlocks, blockSize, rankTargets, dispatchType },
            onProgress,
          ),
        createRankShard: ({ rank, blockSize }, onProgress) =>
          native.createRankShard(runtime, store, { ...rank, kvBlocks: rank.kvBlocks, blockSize }, onProgress),
        onProgress: () => agent.changed(),
        newCacheId: () => randomInt(1, 2 ** 48 - 1),
        partnerReady: (workerId, pipeline) => agent.partnerReady(workerId, pipeline),
      },
    });
    closers.push(() => stages.close());

    const server = createGrpcServer({
      host: options.host,
      port: options.port,
      tls: options.tls,
      maxMessageBytes: MAX_DATA_MESSAGE_BYTES,
      channelOptions: dataChannelOptions,
    });
    const members = (given: Parameters<MemberKeys['accepts']>[0]): boolean => keys.accepts(given);
    const shards = {
      bank,
      hidden: spec.hiddenSize,
      rank: (pipeline: string, cache: CacheFields) => stages.rank(pipeline, cache),
      denseRank: (pipeline: string, layer: number) => stages.denseRank(pipeline, layer),
      epoch: () => agent.view.target?.epoch ?? 0,
    };
    const session = { workerId: options.id, startedAtMs: Date.now() };
    const shardHandlers = { ...shardService({ shards, session, observer }) };
    server.addService('conclave.v1.ShardService', shardServerDefinition(), shardHandlers, members);
    const stageHandlers = {
      Run: (call: ServerWritableStream<RunRequest__Output, RunResponse>) => void serveRun(call, () => stages.engine),
      StopSequence: stopSequenceHandler(() => stages.engine),
      Step: (stream: Parameters<typeof serveSteps>[0]) =>
        serveSteps(stream, (pipeline, cache) => stages.runner(pipeline, cache)),
    };
    server.addService('conclave.v1.StageService', conclave.StageService.service, stageHandlers, members);
    const identify: handleUnaryCall<IdentifyRequest, IdentifyResponse> = (_call, callback) => callback(null, session);
    server.addService('conclave.v1.WorkerService', conclave.WorkerService.service, { Identify: identify }, members);
    const port = await server.start();
    closers.push(() => server.close(1_000));
    const address = `${options.advertiseHost.includes(':') ? `[${options.advertiseHost}]` : options.advertiseHost}:${port}`;

    const agent: WorkerAgent = new WorkerAgent({
      cluster: options.cluster,
      bus,
      keys,
      targets,
      announcement: {
        id: options.id,
        address,
        node: options.node,
        pid: process.pid,
        roles: [...options.roles],
        memoryBytes: options.memoryBytes,
        cores: options.threads,
        device: 'cpu',
        version: options.version,
        startedAtMs: session.startedAtMs,
      },
      activity: (seconds) => meter.take(seconds, stages.engine?.snapshot() ?? null),
      onReplaced: (error) => engineObserver.onFault(error),
      onError: (what, error) => observer.onError(what, error),
    });
    const experts = new ExpertAgent({
      workerId: options.id,
      bank,
      onChange: () => agent.changed(),
      routesSettled: (epoch) => agent.routesSettled(epoch),
    });
    closers.push(() => agent.stop());
    await agent.start(experts, stages);
    server.setServing(true);
    const snapshot = (): WorkerSnapshot => ({
      planEpoch: agent.view.committed?.epoch ?? 0,
      slots: bank.slotCount,
      expertBytes: bank.bytes,
      coldSlots: cold.size,
      engine: stages.engine?.snapshot() ?? null,
      requestIds: stages.engine?.runningRequests() ?? [],
    });
    return {
      address,
      agent,
      snapshot,
      readiness: () => agent.readiness(),
      drain: (deadlineMs) => agent.drain(deadlineMs),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

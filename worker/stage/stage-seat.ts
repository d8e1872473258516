import type { ChannelCredentials, Metadata } from '@grpc/grpc-js';
import type { ActivationType, ExpertBank, OnProgress, RankShard, Stage } from '../../native/native.ts';
import type { PlacementPlan } from '../../proto/messages.ts';
import type { PlannedRank } from '../agent/plan-slots.ts';
import { type Clock, systemClock } from '../engine/clock.ts';
import { createEngine, type Engine } from '../engine/engine.ts';
import type { EngineLimits } from '../engine/limits.ts';
import type { EngineObserver } from '../engine/observer.ts';
import type { EngineModel } from '../engine/request.ts';
import type { ColdExperts } from '../shard/cold-experts.ts';
import { Dispatcher, type DispatchObserver } from '../shard/dispatcher.ts';
import { expertRoute, type LayerReplicas } from '../shard/replicas.ts';
import type { Targets } from '../shard/targets.ts';
import { CacheClaim, type CacheFields, CacheGuard } from './cache-claim.ts';
import { ClusterExecutor } from './cluster-executor.ts';
import { Hop, type StepRunner } from './hop.ts';
import { StageRunner } from './stage-runner.ts';

/** A worker that holds another part of the same pipeline's cache. */
export interface Partner {
  readonly id: string;
  readonly address: string;
}

/** What a rank of a pipeline is, and with whom it works. Equal seats need not be made again. */
export interface SeatSpec {
  readonly rank: PlannedRank;
  readonly blockSize: number;
  /** The stage's other ranks; empty but on rank 0. */
  readonly ranks: readonly Partner[];
  /** Rank 0 of the next stage; null on the last stage and on other ranks. */
  readonly next: Partner | null;
}

/** Workers whose cache a seat's steps need. */
export function partners(spec: SeatSpec): readonly Partner[] {
  return spec.next === null ? spec.ranks : [...spec.ranks, spec.next];
}

/** The part of a plan that concerns one rank. */
export function seatSpec(plan: PlacementPlan, rank: PlannedRank): SeatSpec {
  const stages = plan.pipelines.find(({ id }) => id === rank.pipeline)?.stages ?? [];
  const partner = (worker: number | undefined): Partner => {
    const found = worker === undefined ? undefined : plan.workers[worker];
    if (found === undefined) throw new Error(`plan ${plan.epoch}: a rank of pipeline ${rank.pipeline} names no worker`);
    return { id: found.id, address: found.address };
  };
  const isOwner = rank.rank === 0;
  const next = stages[rank.stage + 1];
  return {
    rank,
    blockSize: plan.blockSize,
    ranks: isOwner ? (stages[rank.stage]?.ranks ?? []).slice(1).map(({ worker }) => partner(worker)) : [],
    next: isOwner && next !== undefined ? partner(next.ranks[0]?.worker) : null,
  };
}

export interface SeatOptions {
  readonly hidden: number;
  readonly model: EngineModel;
  readonly limits: Partial<EngineLimits> & Pick<EngineLimits, 'maxModelLen'>;
  readonly wireType: ActivationType;
  readonly targets: Targets;
  readonly bank: ExpertBank;
  readonly cold: ColdExperts;
  readonly credentials: ChannelCredentials;
  readonly metadata: () => Metadata;
  readonly epoch: () => number;
  readonly dispatchObserver: DispatchObserver;
  readonly engineObserver: EngineObserver | null;
  readonly hedgeMs: number | null;
  readonly rankDeadlineMs: number;
  readonly overlapRows: number;
  readonly prefixCaching: boolean;
  readonly createStage: (spec: SeatSpec, rankTargets: readonly number[], onProgress: OnProgress) => Promise<Stage>;
  readonly createRankShard: (spec: SeatSpec, onProgress: OnProgress) => Promise<RankShard>;
  readonly onProgress: OnProgress;
  /** Whether a worker says that its part of the pipeline is loaded. */
  readonly partnerReady: (workerId: string, pipeline: string) => boolean;
  readonly clock?: Clock;
  /** A number > 0 that no cache has been named by; see CacheClaim. */
  readonly newCacheId: () => number;
}

/** One rank of a pipeline on this worker: a slice of heads for others, or a stage with all that drives it. */
export interface Seat {
  readonly spec: SeatSpec;
  /** Set on ranks other than 0. */
  readonly shard: RankShard | null;
  /** Set on rank 0. */
  readonly stage: Stage | null;
  readonly runner: StepRunner | null;
  /** Set on the lead: rank 0 of stage 0. */
  readonly engine: Engine | null;
  /** Routes dispatches of these layers from now on. */
  setRoutes(routes: readonly LayerReplicas[]): void;
  /** Resolves once no batch in flight uses routes from before. */
  routesSettled(): Promise<void>;
  /** A plan of this epoch gives the seat to this worker. */
  renew(epoch: number): void;
  /** Throws CacheRefused unless a step may use the cache of this seat. */
  admit(cache: CacheFields): void;
  /** A partner came back without its cache. */
  loseCache(reason: string): void;
  /** A worker says that it is there: a way to it that waits for its next try is opened now. */
  retryNow(workerId: string): void;
  close(): Promise<void>;
}

/** Loads the weights of a seat, which a plan of this epoch gives to this worker, and connects it. Rejects with a native error when the weights cannot be loaded. */
export async function takeSeat(spec: SeatSpec, epoch: number, options: SeatOptions): Promise<Seat> {
  return spec.rank.rank === 0 ? ownStage(spec, epoch, options) : shareStage(spec, options);
}

async function shareStage(spec: SeatSpec, options: SeatOptions): Promise<Seat> {
  const shard = await options.createRankShard(spec, options.onProgress);
  const guard = new CacheGuard();
  return {
    spec,
    shard,
    stage: null,
    runner: null,
    engine: null,
    setRoutes: () => undefined,
    routesSettled: () => Promise.resolve(),
    renew: () => undefined,
    admit: (cache) => guard.admit(cache),
    loseCache: () => undefined,
    retryNow: () => undefined,
    close: async () => shard.close(),
  };
}

async function ownStage(spec: SeatSpec, seatEpoch: number, options: SeatOptions): Promise<Seat> {
  const { targets, hidden, bank, cold, wireType, credentials, metadata, rankDeadlineMs, hedgeMs } = options;
  const rankTargets = spec.ranks.map(({ id, address }) => {
    const number = targets.numberOf(id, address);
    if (number === undefined) throw new Error(`worker ${id} at ${address}: not a dispatch target`);
    return number;
  });
  const stage = await options.createStage(spec, rankTargets, options.onProgress);
  const replicas = new Map<number, LayerReplicas>();
  const dispatcher = new Dispatcher({
    hidden,
    partialType: wireType,
    target: (target) => targets.get(target),
    replicas: (layer) => replicas.get(layer) ?? { layer, slices: 1, targets: [] },
    health: targets,
    bank,
    cold,
    observer: options.dispatchObserver,
    rankDeadlineMs,
    hedgeMs,
  });
  const pipeline = spec.rank.pipeline;
  const hop =
    spec.next === null ? null : new Hop({ ...spec.next, pipeline, credentials, metadata, deadlineMs: rankDeadlineMs });
  const { epoch, overlapRows, partnerReady } = options;
  const claim = new CacheClaim(options.newCacheId, seatEpoch);
  const guard = new CacheGuard();
  const runner = new StageRunner({ stage, dispatcher, pipeline, claim, hidden, epoch, next: hop, overlapRows });
  const executor = new ClusterExecutor({
    limits: { kvBlocks: spec.rank.kvBlocks, blockSize: spec.blockSize },
    run: (batch) => runner.run(batch),
    ready: () =>
      rankTargets.every((target) => targets.usable(target)) &&
      (hop === null || hop.connected) &&
      partners(spec).every(({ id }) => partnerReady(id, pipeline)),
    claim,
    clock: options.clock ?? systemClock,
  });
  const lead = spec.rank.stage === 0;
  const { model, engineObserver: observer, prefixCaching } = options;
  const maxModelLen = Math.min(options.limits.maxModelLen, spec.rank.kvBlocks * spec.blockSize);
  const limits = { ...options.limits, maxModelLen };
  const engine = lead ? createEngine({ executor, model, limits, observer, prefixCaching }) : null;
  return {
    spec,
    shard: null,
    stage,
    runner: { run: (batch) => executor.execute(batch) },
    engine,
    setRoutes: (routes) => {
      for (const route of routes) {
        replicas.set(route.layer, route);
        stage.setRoute(route.layer, expertRoute(route, targets));
      }
    },
    routesSettled: () => runner.settled(),
    renew: (epoch) => claim.renew(epoch),
    admit: (cache) => guard.admit(cache),
    loseCache: (reason) => executor.loseCache(reason),
    retryNow: (workerId) => {
      if (spec.next?.id === workerId) hop?.retryNow();
    },
    close: async () => {
      await engine?.stop();
      hop?.close();
      stage.close();
    },
  };
}

import type { Stage } from '../../native/native.ts';
import { systemClock } from '../../platform/process/clock.ts';
import { createEngine, type Engine } from '../engine/engine.ts';
import type { TokenFilters } from '../engine/request/token-filters.ts';
import { Dispatcher } from '../shard/dispatcher.ts';
import { expertRoute, type LayerReplicas } from '../shard/replicas.ts';
import type { Targets } from '../shard/targets.ts';
import { CacheClaim, type CacheFields, CacheGuard } from '../wire/cache-claim.ts';
import { ClusterExecutor } from './cluster-executor.ts';
import { NextStageClient } from './next-stage-client.ts';
import type { SeatOptions } from './seat-options.ts';
import { partners, type SeatSpec } from './seat-spec.ts';
import { StageRunner } from './stage-runner.ts';
import type { StepRunner } from './step-service.ts';

interface StageParts {
  readonly stage: Stage;
  readonly targets: Targets;
  /** Read by the dispatcher. */
  readonly replicas: Map<number, LayerReplicas>;
  readonly claim: CacheClaim;
  readonly runner: StageRunner;
  readonly executor: ClusterExecutor;
  /** Null on the last stage. */
  readonly next: NextStageClient | null;
  /** Set on the lead: the first stage. */
  readonly engine: Engine | null;
}

/** Rank 0 of a stage on this worker: the residual stream of a range of layers, with all that drives it. */
export class StageSeat {
  readonly kind = 'stage';
  readonly spec: SeatSpec;
  readonly #parts: StageParts;
  readonly #guard: CacheGuard;

  /** `epoch`: of the plan that gives the seat to this worker. */
  constructor(spec: SeatSpec, epoch: number, parts: StageParts) {
    this.spec = spec;
    this.#parts = parts;
    this.#guard = new CacheGuard(epoch);
  }

  get stage(): Stage {
    return this.#parts.stage;
  }

  get engine(): Engine | null {
    return this.#parts.engine;
  }

  /** Runs steps that come from the stage before. Throws CacheRefused unless the cache is the asker's. */
  claimed(cache: CacheFields): StepRunner {
    this.#guard.admit(cache);
    return { run: (batch) => this.#parts.executor.execute(batch) };
  }

  /** Routes dispatches of these layers from now on. */
  setRoutes(routes: readonly LayerReplicas[]): void {
    const { replicas, stage, targets } = this.#parts;
    for (const route of routes) {
      replicas.set(route.layer, route);
      stage.setRoute(route.layer, expertRoute(route, targets));
    }
  }

  /** Resolves once no batch in flight uses routes from before. */
  routesSettled(): Promise<void> {
    return this.#parts.runner.settled();
  }

  /** A plan of this epoch gives the seat to this worker. */
  renew(epoch: number): void {
    this.#parts.claim.renew(epoch);
  }

  /** A partner came back without its cache. */
  loseCache(reason: string): void {
    this.#parts.executor.loseCache(reason);
  }

  /** A worker says that it is there: a way to it that waits for its next try is opened now. */
  retryNow(workerId: string): void {
    if (this.spec.next?.id === workerId) this.#parts.next?.retryNow();
  }

  async close(): Promise<void> {
    this.#parts.executor.stop();
    await this.#parts.engine?.stop();
    this.#parts.next?.close();
    this.#parts.stage.close();
  }
}

/**
 * Loads the weights of a stage, which a plan of this epoch gives to this worker, and connects it. Rejects with a native error
 * when the weights cannot be loaded.
 */
export async function takeStageSeat(spec: SeatSpec, epoch: number, options: SeatOptions): Promise<StageSeat> {
  const { targets, credentials, metadata, rankDeadlineMs: deadlineMs, overlapRows } = options;
  const { pipeline } = spec.rank;
  const rankTargets = spec.ranks.map(({ id, address }) => {
    const number = targets.numberOf(id, address);
    if (number === undefined) throw new Error(`worker ${id} at ${address}: not a dispatch target`);
    return number;
  });
  const stage = await options.createStage(spec, rankTargets, options.onProgress);
  const replicas = new Map<number, LayerReplicas>();
  const dispatcher = createDispatcher(pipeline, replicas, options);
  const next = spec.next && new NextStageClient({ ...spec.next, pipeline, credentials, metadata, deadlineMs });
  const claim = new CacheClaim(options.newCacheId, epoch);
  const runner = new StageRunner({
    stage,
    dispatcher,
    claim,
    epoch: options.epoch,
    next,
    overlapRows,
  });
  const executor = new ClusterExecutor({
    limits: { kvBlocks: spec.rank.kvBlocks, blockSize: spec.blockSize, stateSlots: spec.rank.stateSlots },
    run: (batch) => runner.run(batch),
    ready: () =>
      rankTargets.every((target) => targets.usable(target)) &&
      (next === null || next.connected) &&
      partners(spec).every(({ id }) => options.partnerReady(id, pipeline)),
    claim,
    clock: options.clock ?? systemClock,
  });
  const engine = spec.rank.stage === 0 ? createLeadEngine(spec, executor, await options.openFilters(), options) : null;
  return new StageSeat(spec, epoch, { stage, targets, replicas, claim, runner, executor, next, engine });
}

function createDispatcher(
  pipeline: string,
  replicas: ReadonlyMap<number, LayerReplicas>,
  options: SeatOptions,
): Dispatcher {
  const { targets, hidden, expertWidth, bank, cold, rankDeadlineMs, hedgeMs, dispatchObserver } = options;
  return new Dispatcher({
    pipeline,
    hidden,
    expertWidth,
    target: (target) => targets.get(target),
    replicas: (layer) => replicas.get(layer) ?? { layer, slices: 1, targets: [] },
    health: targets,
    bank,
    cold,
    observer: dispatchObserver,
    rankDeadlineMs,
    hedgeMs,
  });
}

function createLeadEngine(
  { rank, blockSize }: SeatSpec,
  executor: ClusterExecutor,
  filters: TokenFilters | null,
  options: SeatOptions,
): Engine {
  const { model, engineObserver: observer, prefixCaching } = options;
  const maxModelLen = Math.min(options.limits.maxModelLen, rank.kvBlocks * blockSize);
  return createEngine({
    executor,
    model,
    limits: { ...options.limits, maxModelLen },
    observer,
    prefixCaching,
    filters,
  });
}

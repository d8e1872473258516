import { isDeepStrictEqual } from 'node:util';
import type { ExpertSlot, RankShard } from '../../native/native.ts';
import type { LayerRows } from '../../proto/generated/conclave/v1/LayerRows.ts';
import type { ModelSpec, PlacementPlan } from '../../proto/messages.ts';
import type { Engine } from '../engine/engine.ts';
import { type ExpertRoutes, expertRoutes, type Holder } from '../plan/expert-routes.ts';
import { plannedRanks } from '../plan/plan-slots.ts';
import type { CacheFields } from '../wire/cache-claim.ts';
import { type RankSeat, takeRankSeat } from './rank-seat.ts';
import type { SeatOptions } from './seat-options.ts';
import { partners, type SeatSpec, seatSpec } from './seat-spec.ts';
import { type StageSeat, takeStageSeat } from './stage-seat.ts';
import type { StepRunner } from './step-service.ts';

/** One rank of a pipeline on this worker. */
type Seat = StageSeat | RankSeat;

export interface StageHostOptions {
  readonly workerId: string;
  readonly spec: ModelSpec;
  readonly seat: SeatOptions;
  /** Every worker's held slots as dispatch targets, this one's under 0; the same array until they change. */
  readonly holders: () => readonly Holder[];
  /** Called when `readyPipelines`, `error` or `routesEpoch` may have changed. */
  readonly onChange: () => void;
  /** A seat could not be made, for the most part because its weights could not be loaded. */
  readonly onLoadFailed?: (error: unknown) => void;
}

/** Routes and what they were made from. */
interface MadeRoutes {
  readonly holders: readonly Holder[];
  readonly target: PlacementPlan;
  readonly committed: PlacementPlan | null;
  readonly made: ExpertRoutes;
}

/** The seats that plans give to this worker: made in the background, replaced when a plan changes them. */
export class StageHost {
  readonly #options: StageHostOptions;
  readonly #seats = new Map<string, Seat>();
  readonly #routes = new WeakMap<StageSeat, MadeRoutes>();
  #target: PlacementPlan | null = null;
  #committed: PlacementPlan | null = null;
  #routesEpoch = 0;
  #settlingEpoch = 0;
  #error: string | null = null;
  #running = false;
  #reconciled: Promise<void> = Promise.resolve();
  #stale = false;
  #closed = false;

  constructor(options: StageHostOptions) {
    this.#options = options;
  }

  /** Pipelines whose rank here is as the target plan wants it, or still serves while another worker takes it over. */
  get readyPipelines(): readonly string[] {
    const { workerId } = this.#options;
    const target = this.#target;
    const wanted = new Map(
      (target === null ? [] : plannedRanks(target, workerId)).map((rank) => [rank.pipeline, rank] as const),
    );
    return [...this.#seats].flatMap(([pipeline, seat]) => {
      const rank = wanted.get(pipeline);
      const leaving = rank === undefined || target === null;
      return leaving || isDeepStrictEqual(seat.spec, seatSpec(target, rank)) ? [pipeline] : [];
    });
  }

  /** Why a seat could not be made; null while none failed. */
  get error(): string | null {
    return this.#error;
  }

  /** Newest committed epoch that routes follow, of batches in flight too; 0 without stages. */
  get routesEpoch(): number {
    return this.#routesEpoch;
  }

  /** Whether a stage here dispatches to other workers. */
  get dispatches(): boolean {
    return this.#stages().length > 0;
  }

  /** The engine of the pipeline that this worker leads, or null. */
  get engine(): Engine | null {
    return this.#stages().find(({ engine }) => engine !== null)?.engine ?? null;
  }

  /** The stage of a pipeline here, unless it is the first, which nobody sends steps to. Throws CacheRefused when its cache is not the asker's. */
  runner(pipeline: string, cache: CacheFields): StepRunner | null {
    const seat = this.#seats.get(pipeline);
    return seat?.kind === 'stage' && seat.spec.rank.stage > 0 ? seat.claimed(cache) : null;
  }

  /** The rank of a pipeline here, if any. Throws CacheRefused when its cache is not the asker's. */
  rank(pipeline: string, cache: CacheFields): RankShard | undefined {
    const seat = this.#seats.get(pipeline);
    return seat?.kind === 'rank' ? seat.claimed(cache) : undefined;
  }

  /** The rank of a pipeline here that has a slice of this layer's dense part, if any. Needs no cache. */
  denseRank(pipeline: string, layer: number): RankShard | undefined {
    const seat = this.#seats.get(pipeline);
    if (seat?.kind !== 'rank') return undefined;
    const { firstLayer, endLayer } = seat.spec.rank;
    return firstLayer <= layer && layer < endLayer ? seat.shard : undefined;
  }

  /** Works towards `target`. Seats of pipelines that neither plan gives to this worker are closed. Returns at once. */
  follow(target: PlacementPlan | null, committed: PlacementPlan | null): void {
    this.#target = target;
    this.#committed = committed;
    this.#stale = true;
    if (!this.#running) this.#reconciled = this.#reconcile();
  }

  /** Brings all routes up to date with what workers hold and which of them answer, and how fast. */
  refreshRoutes(): void {
    const target = this.#target;
    if (target === null) return;
    const { holders, seat: options } = this.#options;
    const all = holders();
    let usesSpares = false;
    for (const seat of this.#stages()) {
      const next = this.#routesOf(seat, target, all);
      usesSpares ||= next.usesSpares;
      seat.setRoutes(next.routes);
    }
    const usable = new Set(all.filter(({ target: number }) => options.targets.usable(number)));
    options.cold.release((slot) => [...usable].some((holder) => holds(holder, slot)));
    if (!usesSpares) void this.#settleRoutes(this.#seats.size > 0 ? (this.#committed?.epoch ?? 0) : 0);
  }

  /** Made again only when plans or holders have changed. */
  #routesOf(seat: StageSeat, target: PlacementPlan, holders: readonly Holder[]): ExpertRoutes {
    const committed = this.#committed;
    const known = this.#routes.get(seat);
    if (known?.holders === holders && known.target === target && known.committed === committed) return known.made;
    const { firstLayer: first, endLayer: end } = seat.spec.rank;
    const made = expertRoutes(this.#options.spec, { first, end }, target, committed, holders);
    this.#routes.set(seat, { holders, target, committed, made });
    return made;
  }

  /** Routes follow the committed plan of this epoch; says so once nothing that runs uses those from before. */
  async #settleRoutes(epoch: number): Promise<void> {
    if (epoch === this.#settlingEpoch) return;
    this.#settlingEpoch = epoch;
    await Promise.all(this.#stages().map((seat) => seat.routesSettled()));
    if (epoch !== this.#settlingEpoch) return; // A newer plan came meanwhile.
    this.#routesEpoch = epoch;
    this.#options.onChange();
  }

  /** A worker says that it is there: ways to it that wait for their next try are opened now. */
  retryNow(workerId: string): void {
    for (const seat of this.#stages()) seat.retryNow(workerId);
  }

  /** A worker restarted: pipelines that it has a part of have lost that part of their cache. */
  partnerRestarted(workerId: string): void {
    for (const seat of this.#stages()) {
      if (partners(seat.spec).some(({ id }) => id === workerId)) seat.loseCache(`worker ${workerId} was restarted`);
    }
  }

  /** Rows per expert since the last call, over all stages here. */
  expertRows(): LayerRows[] {
    return this.#stages().flatMap(({ stage, spec }) =>
      stage
        .takeExpertRows()
        .flatMap((rows, i) => (rows.length === 0 ? [] : [{ layer: spec.rank.firstLayer + i, expertRows: [...rows] }])),
    );
  }

  #stages(): readonly StageSeat[] {
    return [...this.#seats.values()].filter((seat) => seat.kind === 'stage');
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#target = null;
    this.#committed = null;
    await this.#reconciled;
    await Promise.all([...this.#seats.values()].map((seat) => seat.close()));
    this.#seats.clear();
  }

  async #reconcile(): Promise<void> {
    this.#running = true;
    while (this.#stale && !this.#closed) {
      this.#stale = false;
      try {
        await this.#takeSeats(this.#target, this.#committed);
        this.refreshRoutes();
      } catch (error) {
        this.#error = messageOf(error);
      }
      this.#options.onChange();
    }
    this.#running = false; // In the same turn as the last look: a plan that comes later starts it again.
  }

  /** Closes the seats that neither plan gives to this worker, and takes those that the target plan does. */
  async #takeSeats(target: PlacementPlan | null, committed: PlacementPlan | null): Promise<void> {
    const { workerId } = this.#options;
    this.#error = null; // Of seats that may not be wanted any more.
    const wanted = new Map<string, SeatSpec>();
    for (const rank of target === null ? [] : plannedRanks(target, workerId)) {
      if (target !== null) wanted.set(rank.pipeline, seatSpec(target, rank));
    }
    const kept = new Set(committed === null ? [] : plannedRanks(committed, workerId).map(pipelineOf));
    for (const [pipeline, seat] of this.#seats) {
      if (wanted.has(pipeline) || kept.has(pipeline)) continue;
      this.#seats.delete(pipeline);
      await seat.close();
    }
    for (const [pipeline, spec] of wanted) await this.#seat(pipeline, spec, target?.epoch ?? 0);
  }

  async #seat(pipeline: string, spec: SeatSpec, epoch: number): Promise<void> {
    const before = this.#seats.get(pipeline);
    if (before !== undefined && isDeepStrictEqual(before.spec, spec)) {
      if (before.kind === 'stage') before.renew(epoch);
      return;
    }
    try {
      const { seat: options } = this.#options;
      const take = spec.rank.rank === 0 ? takeStageSeat : takeRankSeat;
      this.#seats.set(pipeline, await take(spec, epoch, options));
    } catch (error) {
      this.#options.onLoadFailed?.(error);
      this.#error = `stage ${spec.rank.stage} of pipeline ${pipeline}: ${messageOf(error)}`;
      return;
    }
    await before?.close();
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function pipelineOf({ pipeline }: { readonly pipeline: string }): string {
  return pipeline;
}

function holds(holder: Holder, slot: ExpertSlot): boolean {
  return holder.held.some(
    ({ layer, slices, sliceIds }) =>
      layer === slot.layer && slices === slot.slices && sliceIds.includes(slot.expert * slices + slot.slice),
  );
}

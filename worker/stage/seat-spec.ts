import type { PlacementPlan } from '../../proto/messages.ts';
import type { PlannedRank } from '../plan/plan-slots.ts';

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

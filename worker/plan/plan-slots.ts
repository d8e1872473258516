import type { ExpertSlot, RankSlice } from '../../native/native.ts';
import type { PlacementPlan } from '../../proto/messages.ts';
import { wholeShare } from '../../proto/model/share.ts';

/** An expert slot that a plan puts on a worker, and the checksum that it must have (null: not verified). */
export interface PlannedSlot extends ExpertSlot {
  readonly checksum: number | null;
}

/** A tensor-parallel rank of a pipeline's stage that a plan puts on a worker. */
export interface PlannedRank extends RankSlice {
  readonly pipeline: string;
  readonly stage: number;
  readonly rank: number;
  readonly kvBlocks: number;
  /** Sequences whose states of fixed size it keeps. */
  readonly stateSlots: number;
  /** Bytes of its cache, as the plan counts them. */
  readonly cacheBytes: number;
}

/** Slots that the plan puts on the worker, in plan order. */
export function plannedSlots(plan: PlacementPlan, workerId: string): readonly PlannedSlot[] {
  const worker = plan.workers.findIndex(({ id }) => id === workerId);
  if (worker < 0) return [];
  return plan.experts.flatMap(({ layer, slices, expert, slice, worker: workers, checksums }) =>
    expert.flatMap((logical, i) => {
      if (workers[i] !== worker) return [];
      const index = slice[i] ?? 0;
      const checksum = checksums[logical * slices + index] ?? null;
      return [{ layer, expert: logical, slice: index, slices, checksum }];
    }),
  );
}

/** Ranks that the plan puts on the worker. */
export function plannedRanks(plan: PlacementPlan, workerId: string): readonly PlannedRank[] {
  const worker = plan.workers.findIndex(({ id }) => id === workerId);
  if (worker < 0) return [];
  return plan.pipelines.flatMap(({ id: pipeline, kvBlocks, stateSlots, stages }) =>
    stages.flatMap(({ firstLayer, endLayer, ranks }, stage) =>
      ranks.flatMap((placement, rank) => {
        if (placement.worker !== worker) return [];
        const { cacheBytes } = placement;
        const share = placement.share ?? wholeShare;
        return [{ pipeline, stage, rank, firstLayer, endLayer, share, kvBlocks, stateSlots, cacheBytes }];
      }),
    ),
  );
}

/** Key of a slot in sets and maps. */
export function slotKey({ layer, expert, slice, slices }: ExpertSlot): string {
  return `${layer}/${expert}/${slice}/${slices}`;
}

/** Slots of one plan, for questions about single workers. */
export interface SlotIndex {
  /** Slices of a layer that the plan puts on the worker. */
  sliceIds(workerId: string, layer: number, slices: number): ReadonlySet<number>;
}

const indexes = new WeakMap<PlacementPlan, SlotIndex>();
const none: ReadonlySet<number> = new Set();

/** The index of a plan; made once, since plans do not change. */
export function slotIndex(plan: PlacementPlan): SlotIndex {
  const known = indexes.get(plan);
  if (known !== undefined) return known;
  const slots = new Map<string, Set<number>>();
  const keyOf = (workerId: string, layer: number, slices: number): string => `${layer}/${slices}/${workerId}`;
  for (const { layer, slices, expert, slice, worker } of plan.experts) {
    expert.forEach((logical, i) => {
      const key = keyOf(plan.workers[worker[i] ?? -1]?.id ?? '', layer, slices);
      const ids = slots.get(key) ?? new Set();
      slots.set(key, ids.add(logical * slices + (slice[i] ?? 0)));
    });
  }
  const index: SlotIndex = {
    sliceIds: (workerId, layer, slices) => slots.get(keyOf(workerId, layer, slices)) ?? none,
  };
  indexes.set(plan, index);
  return index;
}

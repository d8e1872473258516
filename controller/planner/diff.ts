import type { PlacementPlan } from '../../proto/messages.ts';
import { type Part, wholeShare } from '../../proto/model/share.ts';

/** One physical expert. */
export interface SlotOf {
  readonly layer: number;
  readonly expert: number;
  readonly slice: number;
  readonly slices: number;
}

/** What a worker has to do to get from one plan to the next. Loading comes before unloading. */
export interface WorkerChange {
  readonly id: string;
  readonly load: readonly SlotOf[];
  readonly unload: readonly SlotOf[];
  /** Its ranks, as "pipeline/stage/rank layers a-b part c of d, e blocks of f, g states", when they are not what they were; else null. */
  readonly ranks: { readonly before: readonly string[]; readonly after: readonly string[] } | null;
}

export interface PlanDiff {
  /** Workers with something to do, by id. */
  readonly workers: readonly WorkerChange[];
  /** Slots to load, over all workers. */
  readonly loads: number;
  /** Slots to unload, over all workers. */
  readonly unloads: number;
}

/** The difference between two plans; from nothing when there was none before. */
export function diffPlans(before: PlacementPlan | null, after: PlacementPlan): PlanDiff {
  const old = before === null ? new Map<string, Held>() : heldByWorker(before);
  const next = heldByWorker(after);
  const sameModel = before === null || (before.modelDigest === after.modelDigest && before.weights === after.weights);
  const empty: Held = { slots: new Map(), ranks: [] };
  const workers: WorkerChange[] = [];
  for (const id of [...new Set([...old.keys(), ...next.keys()])].sort()) {
    const had = old.get(id) ?? empty;
    const gets = next.get(id) ?? empty;
    const load = missing(gets, sameModel ? had : empty);
    const unload = missing(had, sameModel ? gets : empty);
    const sameRanks = sameModel && had.ranks.join() === gets.ranks.join();
    if (load.length === 0 && unload.length === 0 && sameRanks) continue;
    workers.push({ id, load, unload, ranks: sameRanks ? null : { before: had.ranks, after: gets.ranks } });
  }
  return {
    workers,
    loads: workers.reduce((sum, worker) => sum + worker.load.length, 0),
    unloads: workers.reduce((sum, worker) => sum + worker.unload.length, 0),
  };
}

interface Held {
  /** By a key of their own. */
  readonly slots: Map<string, SlotOf>;
  readonly ranks: string[];
}

function heldByWorker(plan: PlacementPlan): Map<string, Held> {
  const held = plan.workers.map((): Held => ({ slots: new Map(), ranks: [] }));
  for (const { layer, slices, expert, slice, worker } of plan.experts) {
    expert.forEach((id, i) => {
      const slot = { layer, expert: id, slice: slice[i]!, slices };
      held[worker[i]!]!.slots.set(`${layer}/${id}/${slot.slice}/${slices}`, slot);
    });
  }
  for (const pipeline of plan.pipelines) {
    pipeline.stages.forEach((stage, s) => {
      stage.ranks.forEach((rank, r) => {
        const states = pipeline.stateSlots > 0 ? `, ${pipeline.stateSlots} states` : '';
        const cache = `${pipeline.kvBlocks} blocks of ${plan.blockSize}${states}`;
        held[rank.worker]!.ranks.push(
          `${pipeline.id}/${s}/${r} layers ${stage.firstLayer}-${stage.endLayer - 1} part ${describeShare(rank.share)} ${cache}`,
        );
      });
    });
  }
  return new Map(plan.workers.map((worker, index) => [worker.id, held[index]!]));
}

/** "2 of 4": the second of four parts; "1-2 of 3": the first two of three. */
export function describeShare(share: Part | null): string {
  const { begin, end, parts } = share ?? wholeShare;
  return `${end - begin === 1 ? end : `${begin + 1}-${end}`} of ${parts}`;
}

function missing(wanted: Held, there: Held): SlotOf[] {
  return [...wanted.slots].filter(([key]) => !there.slots.has(key)).map(([, slot]) => slot);
}

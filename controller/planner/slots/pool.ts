// The experts of a pool of workers as placing them needs it: what is wanted, what is there, and how much room it takes.
import type { ExpertLoad, PlannerWorker } from '../input/input.ts';
import type { ExpertsFootprint } from '../input/memory.ts';
import type { Holders } from './slot-board.ts';

export interface PoolLayer {
  readonly layer: number;
  readonly experts: ExpertsFootprint;
  readonly slices: number;
  /** Replicas asked for, [experts]. */
  readonly asked: readonly number[];
  /** Experts whose count operators asked for by name, [experts]. */
  readonly fixed: readonly boolean[];
  /** Most extra replicas of the layer's busiest experts. */
  readonly extras: number;
  readonly load: ExpertLoad | undefined;
  /** Slots of the plan before with the same number of slices. */
  readonly former: readonly ExpertSlotOf[];
}

/** One slot, with the id of its worker. */
export interface ExpertSlotOf {
  readonly expert: number;
  readonly slice: number;
  readonly worker: string;
}

export interface PoolWorker {
  readonly worker: PlannerWorker;
  /** Bytes left beside stage weights and cache. */
  readonly freeBytes: number;
  /** It keeps its slots and gets no other. */
  readonly cordoned: boolean;
}

/** Bytes of one slice of an expert. */
export function sliceBytes(experts: ExpertsFootprint, slices: number): number {
  return Math.ceil(experts.bytes / slices);
}

/** Bytes of one slot of the layer. */
export function bytesOf(layer: PoolLayer): number {
  return sliceBytes(layer.experts, layer.slices);
}

/** Bytes of the slots that a worker had in the plan before. */
export function formerBytes(id: string, layers: readonly PoolLayer[]): number {
  return layers.reduce(
    (sum, layer) => sum + layer.former.filter(({ worker }) => worker === id).length * bytesOf(layer),
    0,
  );
}

/** Holders by layer and by unit within the layer. */
export function formerHolders(workers: readonly { readonly id: string }[], layers: readonly PoolLayer[]): Holders[] {
  const indexOf = new Map(workers.map((worker, index) => [worker.id, index]));
  return layers.map((layer) => {
    const holders = Array.from({ length: layer.experts.count * layer.slices }, (): number[] => []);
    for (const { expert, slice, worker } of layer.former) {
      const index = indexOf.get(worker);
      const unit = holders[expert * layer.slices + slice];
      if (index !== undefined && unit !== undefined && !unit.includes(index)) unit.push(index);
    }
    return holders;
  });
}

/** Whole replicas of each expert, all slices together, [experts]. */
export function replicasKept(layer: PoolLayer, holders: Holders): number[] {
  return Array.from({ length: layer.experts.count }, (_, expert) => {
    const slices = holders.slice(expert * layer.slices, (expert + 1) * layer.slices);
    return slices.reduce((least, holders) => Math.min(least, holders.length), Number.POSITIVE_INFINITY);
  });
}

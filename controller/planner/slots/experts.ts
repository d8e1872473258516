// Places the routed experts on a pool of workers: how many replicas of each, then where. The two depend on what is there
// already, so they repeat on their own result until nothing changes: a plan made from a plan is that plan.
import { formatBytes } from '../../../platform/process/quantities.ts';
import type { ExpertLoad, PlannerWorker } from '../input/input.ts';
import type { ExpertsFootprint } from '../input/memory.ts';
import { speedOf } from './capacity.ts';
import { expertLoads, replicaCounts } from './replicas.ts';
import type { Holders, SlotBoard, SlotLayer, SlotWorker } from './slot-board.ts';
import { placeSlots } from './slots.ts';

export interface PoolLayer {
  readonly layer: number;
  readonly experts: ExpertsFootprint;
  readonly slices: number;
  /** Replicas asked for, [experts]. */
  readonly asked: readonly number[];
  /** Extra replicas of the layer's busiest experts. */
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

export interface PoolPlacement {
  /** Slots of each layer of the pool, in the order of the layers. */
  readonly slots: readonly (readonly ExpertSlotOf[])[];
  readonly shortfalls: readonly string[];
  readonly problems: readonly string[];
}

const maxPasses = 10;

/** Bytes of one slice of an expert. */
export function sliceBytes(experts: ExpertsFootprint, slices: number): number {
  return Math.ceil(experts.bytes / slices);
}

/** Places the experts of `layers` on the pool. With problems there are no slots. */
export function placeExperts(pool: readonly PoolWorker[], layers: readonly PoolLayer[]): PoolPlacement {
  const smallest = Math.min(...layers.map((layer) => sliceBytes(layer.experts, layer.slices)));
  const workers = pool
    .map(({ worker, freeBytes, cordoned }) => ({
      id: worker.id,
      node: worker.node,
      capacityBytes: cordoned ? Math.min(freeBytes, formerBytes(worker.id, layers)) : freeBytes,
      speed: speedOf(worker),
      cordoned,
    }))
    .filter(({ capacityBytes }) => capacityBytes >= smallest);
  const capacity = usefulBytes(workers, layers);
  const needed = layers.reduce((sum, layer) => sum + layer.experts.count * layer.slices * bytesOf(layer), 0);
  if (needed > capacity) return refuse([shortage(needed, capacity, pool.length, layers)]);

  const largest = Math.max(...layers.map((layer) => layer.experts.bytes));
  const loads = layers.map((layer) => expertLoads(layer.load, layer.experts.count, layer.experts.bytes / largest));
  let kept = formerHolders(workers, layers);
  for (let pass = 1; ; pass++) {
    const { counts, shortfalls } = replicaCounts(
      layers.map((layer, m) => ({
        layer: layer.layer,
        loads: loads[m]!,
        bytes: bytesOf(layer) * layer.slices,
        asked: layer.asked,
        kept: replicasKept(layer, kept[m]!),
      })),
      workers.length,
      capacity,
      layers.map((layer) => layer.extras),
    );
    const slotLayers = layers.map((layer, m) => ({
      layer: layer.layer,
      slices: layer.slices,
      sliceBytes: bytesOf(layer),
      loads: loads[m]!,
      replicas: counts[m]!,
    }));
    const board = placeSlots(workers, slotLayers, kept.flat());
    const next = holdersByLayer(board);
    if (pass === maxPasses || sameHolders(kept, next)) return conclude(pool, board, slotLayers, shortfalls);
    kept = next;
  }
}

function conclude(
  pool: readonly PoolWorker[],
  board: SlotBoard,
  layers: readonly SlotLayer[],
  shortfalls: readonly string[],
): PoolPlacement {
  const uncovered = board.holders.filter((holders) => holders.length === 0).length;
  if (uncovered > 0) {
    return refuse([
      `${uncovered} expert slices find no worker with room for one more, though the workers' free bytes add up: workers need room for whole slices`,
    ]);
  }
  const missing = board.holders.reduce((sum, holders, unit) => sum + board.wanted[unit]! - holders.length, 0);
  const byLayer = holdersByLayer(board);
  const slots = layers.map((layer, m) =>
    byLayer[m]!.flatMap((holders, unit) =>
      holders.map((worker) => ({
        expert: Math.floor(unit / layer.slices),
        slice: unit % layer.slices,
        worker: board.workers[worker]!.id,
      })),
    ),
  );
  const closed = pool.filter(({ cordoned }) => cordoned).map(({ worker }) => worker.id);
  const why = closed.length > 0 ? `; ${closed.join(', ')} may take nothing new` : '';
  const unplaced = `${missing} expert replicas find no worker that has room and no replica yet${why}`;
  return { slots, shortfalls: [...shortfalls, ...(missing > 0 ? [unplaced] : [])], problems: [] };
}

function refuse(problems: readonly string[]): PoolPlacement {
  return { slots: [], shortfalls: [], problems };
}

function bytesOf(layer: PoolLayer): number {
  return sliceBytes(layer.experts, layer.slices);
}

/** Bytes that slots can really take: where all have one size, what is left over beside whole slots does not count. */
function usefulBytes(workers: readonly SlotWorker[], layers: readonly PoolLayer[]): number {
  const sizes = new Set(layers.map(bytesOf));
  const [size = 1] = sizes;
  return workers.reduce((sum, { capacityBytes }) => {
    return sum + (sizes.size === 1 ? Math.floor(capacityBytes / size) * size : capacityBytes);
  }, 0);
}

function shortage(needed: number, capacity: number, workers: number, layers: readonly PoolLayer[]): string {
  const range = `layers ${layers[0]!.layer}-${layers.at(-1)!.layer}`;
  return `the experts of ${range} need ${formatBytes(needed)} for one replica of each; the ${workers} workers that may hold them have room for ${formatBytes(capacity)} beside stages and cache: ${formatBytes(needed - capacity)} are missing`;
}

/** Bytes of the slots that a worker had in the plan before. */
function formerBytes(id: string, layers: readonly PoolLayer[]): number {
  return layers.reduce(
    (sum, layer) => sum + layer.former.filter(({ worker }) => worker === id).length * bytesOf(layer),
    0,
  );
}

/** Holders by layer and by unit within the layer. */
function formerHolders(workers: readonly SlotWorker[], layers: readonly PoolLayer[]): Holders[] {
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

function replicasKept(layer: PoolLayer, holders: Holders): number[] {
  return Array.from({ length: layer.experts.count }, (_, expert) => {
    const slices = holders.slice(expert * layer.slices, (expert + 1) * layer.slices);
    return slices.reduce((least, holders) => Math.min(least, holders.length), Number.POSITIVE_INFINITY);
  });
}

function holdersByLayer(board: SlotBoard): Holders[] {
  return board.layers.map((_, m) => {
    const units = board.holders.slice(board.firstUnit[m], board.firstUnit[m + 1]);
    return units.map((holders) => [...holders].sort((a, b) => a - b));
  });
}

function sameHolders(a: readonly Holders[], b: readonly Holders[]): boolean {
  return a.every((layer, m) =>
    layer.every((holders, unit) => {
      const other = b[m]![unit]!;
      return holders.length === other.length && holders.every((worker) => other.includes(worker));
    }),
  );
}

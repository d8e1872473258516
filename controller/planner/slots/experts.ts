// Places the routed experts on a pool of workers: how many replicas of each, then where. The two depend on what is there
// already, so they repeat on their own result until nothing changes: a plan made from a plan is that plan.
import { formatBytes } from '../../../platform/process/quantities.ts';
import type { RebalanceBudget } from '../input/input.ts';
import { speedOf } from './capacity.ts';
import { followLoad } from './follow-load.ts';
import {
  bytesOf,
  type ExpertSlotOf,
  formerBytes,
  formerHolders,
  type PoolLayer,
  type PoolWorker,
  replicasKept,
} from './pool.ts';
import { type Extras, expertLoads, type ReplicaLayer, replicaCounts } from './replicas.ts';
import type { Holders, SlotBoard, SlotLayer, SlotWorker } from './slot-board.ts';
import { placeSlots } from './slots.ts';

export interface PoolPlacement {
  /** Slots of each layer of the pool, in the order of the layers. */
  readonly slots: readonly (readonly ExpertSlotOf[])[];
  /** Slots to load for the sake of load alone. */
  readonly rebalanced: number;
  readonly shortfalls: readonly string[];
  readonly problems: readonly string[];
}

const maxPasses = 10;

/** Places the experts of `layers` on the pool, and follows the load where `budget` says so. With problems there are no slots. */
export function placeExperts(
  pool: readonly PoolWorker[],
  layers: readonly PoolLayer[],
  budget: RebalanceBudget | null,
): PoolPlacement {
  const smallest = Math.min(...layers.map(bytesOf));
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
  const unloaded = kept.flat().every((holders) => holders.length === 0);
  const counted = (extras: Extras) => {
    const wanted = layers.map((layer, m) => replicaLayer(layer, loads[m]!, kept[m]!));
    return replicaCounts(wanted, workers.length, capacity, extras);
  };
  const follow = unloaded ? null : budget;
  for (let pass = 1; ; pass++) {
    const { counts, shortfalls } = counted(unloaded && pass === 1 ? 'any' : 'kept');
    const board = placeSlots(workers, slotLayers(layers, loads, counts), kept.flat(), follow === null);
    const next = holdersByLayer(board);
    if (pass < maxPasses && !sameHolders(kept, next)) {
      kept = next;
      continue;
    }
    const rebalanced = follow === null ? 0 : followLoad(board, counted('any').counts, follow);
    return conclude(pool, board, rebalanced, shortfalls);
  }
}

/** Without measured load there are no extra replicas: nothing is known of which experts are busy. */
function replicaLayer(layer: PoolLayer, loads: readonly number[], kept: Holders): ReplicaLayer {
  const { asked, fixed } = layer;
  const measured = layer.load?.expertRows.some((rows) => rows > 0) ?? false;
  const extras = measured ? layer.extras : 0;
  const bytes = bytesOf(layer) * layer.slices;
  return { layer: layer.layer, loads, bytes, asked, fixed, extras, kept: replicasKept(layer, kept) };
}

function slotLayers(
  layers: readonly PoolLayer[],
  loads: readonly (readonly number[])[],
  counts: readonly (readonly number[])[],
): SlotLayer[] {
  return layers.map((layer, m) => ({
    layer: layer.layer,
    slices: layer.slices,
    sliceBytes: bytesOf(layer),
    loads: loads[m]!,
    replicas: counts[m]!,
    asked: layer.asked,
  }));
}

function conclude(
  pool: readonly PoolWorker[],
  board: SlotBoard,
  rebalanced: number,
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
  const slots = board.layers.map((layer, m) =>
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
  return { slots, rebalanced, shortfalls: [...shortfalls, ...(missing > 0 ? [unplaced] : [])], problems: [] };
}

function refuse(problems: readonly string[]): PoolPlacement {
  return { slots: [], rebalanced: 0, shortfalls: [], problems };
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

// Which workers hold the experts of which layers, and where every slot goes.
import type { ExpertPlacement__Output as ExpertPlacement } from '../../../proto/generated/conclave/v1/ExpertPlacement.ts';
import type { PlacementPlan } from '../../../proto/messages.ts';
import type { PlanInput, PlannerWorker } from '../input/input.ts';
import type { ModelFootprint } from '../input/memory.ts';
import { placeExperts } from '../slots/experts.ts';
import type { ExpertSlotOf, PoolLayer } from '../slots/pool.ts';
import { chooseSlices } from '../slots/slices.ts';
import type { PipelineLayout } from './stages.ts';

/** Workers that hold the experts of a range of layers. */
export interface Pool {
  readonly workers: readonly PlannerWorker[];
  readonly first: number;
  readonly end: number;
}

export interface PlannedExperts {
  /** By layer index; dense layers have none. */
  readonly layers: ReadonlyMap<number, { readonly slices: number; readonly slots: readonly ExpertSlotOf[] }>;
  readonly shortfalls: readonly string[];
  readonly problems: readonly string[];
}

/** Without workers for experts, every stage holds those of its own layers. */
export function ownPools(pipelines: readonly PipelineLayout[]): Pool[] {
  return pipelines.flat().map((stage) => ({ workers: stage.ranks, first: stage.first, end: stage.end }));
}

/** Places the experts of all layers on their pools; `reserved` are the bytes that stages take, by worker id. */
export function planExperts(
  input: PlanInput,
  model: ModelFootprint,
  former: PlacementPlan | null,
  pools: readonly Pool[],
  reserved: ReadonlyMap<string, number>,
): PlannedExperts {
  const freeBytes = (worker: PlannerWorker) => Math.max(0, worker.memoryBytes - (reserved.get(worker.id) ?? 0));
  const layers = new Map<number, { slices: number; slots: ExpertSlotOf[] }>();
  const problems: string[] = [];
  for (const [index, { experts }] of model.layers.entries()) {
    if (experts === null) continue;
    const holding = pools.filter((pool) => pool.first <= index && index < pool.end);
    const room = Math.min(...holding.map((pool) => Math.max(...pool.workers.map(freeBytes))));
    const before = former?.experts.find((placement) => placement.layer === index)?.slices ?? null;
    const chosen = chooseSlices(experts, index, input.constraints.layout.expertTensorParallelSize, room, before);
    if (chosen.problem !== null) problems.push(chosen.problem);
    layers.set(index, { slices: chosen.slices, slots: [] });
  }
  const shortfalls: string[] = [];
  let { rebalance: budget = null } = input;
  for (const pool of problems.length > 0 ? [] : pools) {
    const poolLayers = poolLayersOf(input, model, former, pool, pools, layers);
    if (poolLayers.length === 0) continue;
    const placed = placeExperts(
      pool.workers.map((worker) => ({
        worker,
        freeBytes: freeBytes(worker),
        cordoned: input.constraints.cordoned.includes(worker.id),
      })),
      poolLayers,
      budget,
    );
    if (budget !== null) budget = { ...budget, loads: budget.loads - placed.rebalanced };
    placed.slots.forEach((slots, m) => {
      layers.get(poolLayers[m]!.layer)!.slots.push(...slots);
    });
    shortfalls.push(...placed.shortfalls);
    problems.push(...placed.problems);
  }
  return { layers, shortfalls, problems };
}

function poolLayersOf(
  { constraints, load }: PlanInput,
  model: ModelFootprint,
  former: PlacementPlan | null,
  pool: Pool,
  pools: readonly Pool[],
  layers: ReadonlyMap<number, { readonly slices: number }>,
): PoolLayer[] {
  return model.layers.flatMap((footprint, layer) => {
    const { experts } = footprint;
    if (experts === null || layer < pool.first || layer >= pool.end) return [];
    const { slices } = layers.get(layer)!;
    const copies = pools.filter((other) => other.first <= layer && layer < other.end).length;
    const asked = new Array<number>(experts.count).fill(constraints.defaultReplicas);
    const fixed = new Array<boolean>(experts.count).fill(false);
    for (const { layer: named, expert, replicas } of constraints.overrides) {
      if (named !== layer) continue;
      asked[expert] = replicas;
      fixed[expert] = true;
    }
    const before = formerPlacement(former, layer, slices);
    return [
      {
        layer,
        experts,
        slices,
        asked: asked.map((replicas) => Math.ceil(replicas / copies)),
        fixed,
        extras: Math.ceil(constraints.redundancy * experts.count),
        load: load?.find((entry) => entry.layer === layer),
        former: (before?.expert ?? []).map((expert, i) => ({
          expert,
          slice: before!.slice[i]!,
          worker: former!.workers[before!.worker[i]!]?.id ?? '',
        })),
      },
    ];
  });
}

/** Slots of a layer in the plan before, when it had as many slices per expert. */
export function formerPlacement(
  former: PlacementPlan | null,
  layer: number,
  slices: number,
): ExpertPlacement | undefined {
  return former?.experts.find((placement) => placement.layer === layer && placement.slices === slices);
}

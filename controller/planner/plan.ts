// The planner: what there is and what is wanted in, one placement plan out. Pure; the same input gives the same plan, and a
// plan made with its own result as the plan before is that result. Where what is there stands in the way of any plan at all,
// the plan is made from scratch.
import { isDeepStrictEqual } from 'node:util';
import type { ExpertPlacement__Output as ExpertPlacement } from '../../proto/generated/conclave/v1/ExpertPlacement.ts';
import type { PlacementPlan } from '../../proto/messages.ts';
import { constraintProblems } from './constraints.ts';
import { type ExpertSlotOf, type PoolLayer, placeExperts, sliceBytes } from './experts.ts';
import type { PlanInput, PlannerWorker, PlanResult } from './input.ts';
import { type LayerFootprint, type ModelFootprint, modelFootprint } from './memory.ts';
import { rankShare } from './ranks.ts';
import { chooseSlices } from './slices.ts';
import { StageMemory } from './stage-memory.ts';
import { type FormerStage, type PipelineLayout, planStages } from './stages.ts';

/** Plans from scratch, or anew from a plan that is in force. */
export function plan(input: PlanInput): PlanResult {
  const model = modelFootprint(input.spec, input.weights);
  const invalid = constraintProblems(input, model);
  if (invalid.length > 0) return { kind: 'infeasible', problems: invalid };

  const former = usable(input);
  const result = attempt(input, model, former);
  return result.kind === 'infeasible' && former !== null ? attempt(input, model, null) : result;
}

function attempt(input: PlanInput, model: ModelFootprint, former: PlacementPlan | null): PlanResult {
  const workers = [...input.workers]
    .filter((worker) => !input.constraints.draining.includes(worker.id))
    .sort((a, b) => (a.id < b.id ? -1 : 1));
  const hosts = workers.filter((worker) => worker.roles.includes('expert'));
  const { kvBlocks, blockSize } = input.constraints;
  const memory = new StageMemory(model, kvBlocks * blockSize, hosts.length === 0);
  const stages = planStages({
    model,
    memory,
    layout: input.constraints.layout,
    workers: workers.filter((worker) => worker.roles.includes('stage')),
    former: former === null ? [] : formerStages(former),
  });
  if (stages.problems.length > 0) return { kind: 'infeasible', problems: stages.problems };

  const reserved = stageBytes(stages.pipelines, memory);
  const pools =
    hosts.length > 0 ? [{ workers: hosts, first: 0, end: model.layers.length }] : ownPools(stages.pipelines);
  const experts = planExperts(input, model, former, pools, reserved);
  if (experts.problems.length > 0) return { kind: 'infeasible', problems: experts.problems };
  if (experts.shortfalls.length > 0 && input.constraints.shortfall === 'refuse') {
    return { kind: 'infeasible', problems: experts.shortfalls };
  }
  const next = assemble(input, model, workers, stages.pipelines, memory, experts, former);
  const unchanged = former !== null && samePlacement(former, next);
  return { kind: 'planned', plan: unchanged ? former : next, shortfalls: experts.shortfalls };
}

/** Equal but for what says when, why and by whom a plan was made. */
function samePlacement(a: PlacementPlan, b: PlacementPlan): boolean {
  return isDeepStrictEqual({ ...a, epoch: 0, term: 0, reason: '' }, { ...b, epoch: 0, term: 0, reason: '' });
}

/** Workers that hold the experts of a range of layers. */
interface Pool {
  readonly workers: readonly PlannerWorker[];
  readonly first: number;
  readonly end: number;
}

interface PlannedExperts {
  /** By layer index; dense layers have none. */
  readonly layers: ReadonlyMap<number, { readonly slices: number; readonly slots: readonly ExpertSlotOf[] }>;
  readonly shortfalls: readonly string[];
  readonly problems: readonly string[];
}

/** The plan before, when it was made for the same model and weights: else nothing of it can be kept. */
function usable({ previous, spec, weights }: PlanInput): PlacementPlan | null {
  return previous !== null && previous.modelDigest === spec.digest && previous.weights === weights ? previous : null;
}

function formerStages(former: PlacementPlan): FormerStage[][] {
  return former.pipelines.map((pipeline) =>
    pipeline.stages.map((stage) => ({
      first: stage.firstLayer,
      end: stage.endLayer,
      ranks: stage.ranks.map((rank) => former.workers[rank.worker]?.id ?? ''),
    })),
  );
}

/** Bytes of stage weights and cache by worker id. */
function stageBytes(pipelines: readonly PipelineLayout[], memory: StageMemory): ReadonlyMap<string, number> {
  const bytes = new Map<string, number>();
  for (const stage of pipelines.flat()) {
    stage.ranks.forEach((worker, rank) => {
      const { weightBytes, kvBytes } = memory.rank(stage, rank, stage.ranks.length);
      bytes.set(worker.id, weightBytes + kvBytes);
    });
  }
  return bytes;
}

/** Without workers for experts, every stage holds those of its own layers. */
function ownPools(pipelines: readonly PipelineLayout[]): Pool[] {
  return pipelines.flat().map((stage) => ({ workers: stage.ranks, first: stage.first, end: stage.end }));
}

function planExperts(
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
  for (const pool of problems.length > 0 ? [] : pools) {
    const poolLayers = poolLayersOf(input, model, former, pool, pools, layers);
    if (poolLayers.length === 0) continue;
    const placed = placeExperts(
      pool.workers.map((worker) => ({ worker, freeBytes: freeBytes(worker) })),
      poolLayers,
    );
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
  return model.layers.flatMap((footprint: LayerFootprint, layer) => {
    const { experts } = footprint;
    if (experts === null || layer < pool.first || layer >= pool.end) return [];
    const { slices } = layers.get(layer)!;
    const copies = pools.filter((other) => other.first <= layer && layer < other.end).length;
    const asked = new Array<number>(experts.count).fill(constraints.defaultReplicas);
    for (const wish of constraints.overrides) if (wish.layer === layer) asked[wish.expert] = wish.replicas;
    const measured = load?.find((entry) => entry.layer === layer);
    const before = formerPlacement(former, layer, slices);
    return [
      {
        layer,
        experts,
        slices,
        asked: asked.map((replicas) => Math.ceil(replicas / copies)),
        extras: measured === undefined ? 0 : Math.ceil(constraints.redundancy * experts.count),
        load: measured,
        former: (before?.expert ?? []).map((expert, i) => ({
          expert,
          slice: before!.slice[i]!,
          worker: former!.workers[before!.worker[i]!]?.id ?? '',
        })),
      },
    ];
  });
}

function formerPlacement(former: PlacementPlan | null, layer: number, slices: number): ExpertPlacement | undefined {
  return former?.experts.find((placement) => placement.layer === layer && placement.slices === slices);
}

function assemble(
  input: PlanInput,
  model: ModelFootprint,
  workers: readonly PlannerWorker[],
  pipelines: readonly PipelineLayout[],
  memory: StageMemory,
  experts: PlannedExperts,
  former: PlacementPlan | null,
): PlacementPlan {
  const weightBytes = new Map<string, number>();
  const add = (id: string, bytes: number) => weightBytes.set(id, (weightBytes.get(id) ?? 0) + bytes);
  for (const stage of pipelines.flat()) {
    stage.ranks.forEach((worker, rank) => {
      add(worker.id, memory.rank(stage, rank, stage.ranks.length).weightBytes);
    });
  }
  for (const [layer, { slices, slots }] of experts.layers) {
    for (const slot of slots) add(slot.worker, sliceBytes(model.layers[layer]!.experts!, slices));
  }
  const used = workers.filter((worker) => weightBytes.has(worker.id));
  const indexOf = new Map(used.map((worker, index) => [worker.id, index]));
  return {
    epoch: (input.previous?.epoch ?? 0) + 1,
    model: input.spec.name,
    modelDigest: input.spec.digest,
    workers: used.map(({ id, address }) => ({ id, address, weightBytes: weightBytes.get(id)! })),
    pipelines: pipelines.map((stages, p) => ({
      id: `p${p}`,
      kvBlocks: input.constraints.kvBlocks,
      stages: stages.map((stage) => ({
        firstLayer: stage.first,
        endLayer: stage.end,
        ranks: stage.ranks.map((worker, rank) => ({
          worker: indexOf.get(worker.id)!,
          ...rankShare(rank, stage.ranks.length, model.layers[stage.first]!.kvHeads),
        })),
      })),
    })),
    experts: [...experts.layers].map(([layer, { slices, slots }]) => {
      const ordered = slots
        .map((slot) => ({ ...slot, worker: indexOf.get(slot.worker)! }))
        .sort((a, b) => a.expert - b.expert || a.slice - b.slice || a.worker - b.worker);
      return {
        layer,
        slices,
        expert: ordered.map((slot) => slot.expert),
        slice: ordered.map((slot) => slot.slice),
        worker: ordered.map((slot) => slot.worker),
        checksums: formerPlacement(former, layer, slices)?.checksums ?? [],
      };
    }),
    weights: input.weights,
    reason: input.reason,
    constraintsRevision: input.constraintsRevision,
    term: input.term,
    blockSize: input.constraints.blockSize,
  };
}

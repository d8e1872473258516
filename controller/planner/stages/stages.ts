// Lays out pipelines: which workers are which rank of which stage.
//
// A pipeline of the plan before stays as it is while its workers are there and it fits; a rank whose worker is gone goes to
// another worker; only where that fails is the pipeline laid out from the start, with the fewest ranks that fit (stages before
// tensor-parallel ranks, which talk twice a layer) unless the sizes are given.
import { formatBytes } from '../../../platform/process/quantities.ts';
import type { LayoutConstraints, PlannerWorker } from '../input/input.ts';
import type { ModelFootprint } from '../input/memory.ts';
import { speedOf } from '../slots/capacity.ts';
import { type LayerRange, partitionLayers } from './partition.ts';
import { mostStages, splitProblem } from './ranks.ts';
import { type StageMemory, totalBytes } from './stage-memory.ts';

export interface StageLayout extends LayerRange {
  /** Worker of each tensor-parallel rank. */
  readonly ranks: readonly PlannerWorker[];
}

export type PipelineLayout = readonly StageLayout[];

/** A stage of the plan before, with the ids of its workers. */
export interface FormerStage extends LayerRange {
  readonly ranks: readonly string[];
}

export interface StageProblem {
  readonly model: ModelFootprint;
  readonly memory: StageMemory;
  readonly layout: LayoutConstraints;
  /** Workers that may hold stages, by id. */
  readonly workers: readonly PlannerWorker[];
  /** Ids of workers that keep their ranks and get no other. */
  readonly cordoned: readonly string[];
  /** Pipelines of the plan before, for the same model and weights. */
  readonly former: readonly (readonly FormerStage[])[];
}

export interface StageResult {
  readonly pipelines: readonly PipelineLayout[];
  readonly problems: readonly string[];
}

/** Lays out all pipelines on distinct workers, or says what is missing for each that has no place. */
export function planStages(problem: StageProblem): StageResult {
  const { tensorParallelSize, pipelines: wanted } = problem.layout;
  const split = tensorParallelSize === null ? null : splitProblem(problem.model, tensorParallelSize);
  if (split !== null) return { pipelines: [], problems: [split] };
  const taken = new Set<string>();
  const kept = Array.from({ length: wanted }, (_, p) => keepWorkers(problem, problem.former[p], taken));
  const pipelines: PipelineLayout[] = [];
  const problems: string[] = [];
  for (let p = 0; p < wanted; p++) {
    const free = () => preferred(problem, taken);
    const former = kept[p] ?? null;
    let pipeline = former === null ? null : replaceMissing(problem, former, free());
    if (pipeline === null) {
      for (const stage of former ?? []) for (const worker of stage.ranks) if (worker !== null) taken.delete(worker.id);
      pipeline = layOut(problem, free());
    }
    if (pipeline === null) {
      problems.push(...shortages(problem, p, free()));
      break;
    }
    for (const stage of pipeline) for (const worker of stage.ranks) taken.add(worker.id);
    pipelines.push(pipeline);
  }
  return { pipelines, problems };
}

interface KeptStage extends LayerRange {
  /** Null: the worker is gone, or too small now. */
  readonly ranks: readonly (PlannerWorker | null)[];
}

/** The former pipeline with the workers that can stay, or null when its shape is not what is wanted now. */
function keepWorkers(
  { memory, layout, workers }: StageProblem,
  former: readonly FormerStage[] | undefined,
  taken: Set<string>,
): readonly KeptStage[] | null {
  if (former === undefined || former.length === 0) return null;
  const { tensorParallelSize, pipelineParallelSize } = layout;
  if (pipelineParallelSize !== null && former.length !== pipelineParallelSize) return null;
  if (tensorParallelSize !== null && former.some((stage) => stage.ranks.length !== tensorParallelSize)) return null;
  const kept = former.map((stage) => ({
    first: stage.first,
    end: stage.end,
    ranks: stage.ranks.map((id, rank) => {
      const worker = workers.find((candidate) => candidate.id === id);
      const bytes = totalBytes(memory.rank(stage, rank, stage.ranks.length));
      return worker !== undefined && bytes <= worker.memoryBytes ? worker : null;
    }),
  }));
  for (const stage of kept) for (const worker of stage.ranks) if (worker !== null) taken.add(worker.id);
  return kept;
}

function replaceMissing(
  { memory }: StageProblem,
  kept: readonly KeptStage[],
  free: readonly PlannerWorker[],
): PipelineLayout | null {
  const left = [...free];
  const pipeline: StageLayout[] = [];
  for (const stage of kept) {
    const ranks: PlannerWorker[] = [];
    const nodes = new Set(stage.ranks.map((worker) => worker?.node));
    for (const [rank, worker] of stage.ranks.entries()) {
      const bytes = totalBytes(memory.rank(stage, rank, stage.ranks.length));
      const fitting = worker === null ? left.filter((candidate) => bytes <= candidate.memoryBytes) : [];
      const found = worker ?? fitting.find((candidate) => nodes.has(candidate.node)) ?? fitting[0];
      if (found === undefined) return null;
      if (worker === null) left.splice(left.indexOf(found), 1);
      ranks.push(found);
    }
    pipeline.push({ first: stage.first, end: stage.end, ranks });
  }
  return pipeline;
}

/** Free workers: those that were stages before, then those that are nothing but stages, then large, fast ones. */
function preferred({ workers, former, cordoned }: StageProblem, taken: ReadonlySet<string>): readonly PlannerWorker[] {
  const before = new Set(former.flatMap((pipeline) => pipeline.flatMap((stage) => stage.ranks)));
  const rank = (worker: PlannerWorker) => (before.has(worker.id) ? 0 : worker.roles.includes('expert') ? 2 : 1);
  return workers
    .filter(({ id }) => !taken.has(id) && !cordoned.includes(id))
    .sort((a, b) => rank(a) - rank(b) || bySize(a, b));
}

function bySize(a: PlannerWorker, b: PlannerWorker): number {
  return b.memoryBytes - a.memoryBytes || speedOf(b) - speedOf(a) || (a.id < b.id ? -1 : 1);
}

function layOut(problem: StageProblem, free: readonly PlannerWorker[]): PipelineLayout | null {
  for (const { stages, ranks } of shapes(problem, free.length)) {
    for (const order of [free, [...free].sort(bySize)]) {
      const groups = rankGroups(order, ranks).slice(0, stages);
      const pipeline = cut(problem, groups, fittingTime);
      if (pipeline !== null) return pipeline;
    }
  }
  return null;
}

/** Numbers of stages and ranks to try, the fewest workers first. */
function shapes(
  { model, layout }: StageProblem,
  workers: number,
): { readonly stages: number; readonly ranks: number }[] {
  const rankChoices = [1, 2, 4, 8, 16, 32, 64].filter((ranks) => splitProblem(model, ranks) === null);
  const result: { stages: number; ranks: number }[] = [];
  for (const ranks of layout.tensorParallelSize === null ? rankChoices : [layout.tensorParallelSize]) {
    const most = Math.min(mostStages(model), Math.floor(workers / ranks));
    const requested = layout.pipelineParallelSize;
    for (let stages = requested ?? 1; stages <= Math.min(most, requested ?? most); stages++)
      result.push({ stages, ranks });
  }
  return result.sort((a, b) => a.stages * a.ranks - b.stages * b.ranks || a.ranks - b.ranks);
}

/** Groups of `ranks` workers: on one node where a node has enough, the rest over nodes. Rank 0 is the largest of a group. */
function rankGroups(order: readonly PlannerWorker[], ranks: number): readonly (readonly PlannerWorker[])[] {
  if (ranks === 1) return order.map((worker) => [worker]);
  const byNode = new Map<string, PlannerWorker[]>();
  for (const worker of order) byNode.set(worker.node, [...(byNode.get(worker.node) ?? []), worker]);
  const groups: PlannerWorker[][] = [];
  const rest: PlannerWorker[] = [];
  for (const onNode of byNode.values()) {
    const whole = onNode.length - (onNode.length % ranks);
    for (let i = 0; i < whole; i += ranks) groups.push(onNode.slice(i, i + ranks));
    rest.push(...onNode.slice(whole));
  }
  for (let i = 0; i + ranks <= rest.length; i += ranks) groups.push(rest.slice(i, i + ranks));
  return groups.map((group) => group.sort(bySize));
}

type StageCost = (memory: StageMemory, range: LayerRange, group: readonly PlannerWorker[]) => number;

/** Bytes per core that a token waits for; infinite when the range does not fit. */
const fittingTime: StageCost = (memory, range, group) =>
  fullness(memory, range, group) <= 1
    ? memory.activeBytes(range) / (group.length * Math.min(...group.map(speedOf)))
    : Number.POSITIVE_INFINITY;

const fullness: StageCost = (memory, range, group) =>
  group.reduce(
    (most, worker, rank) => Math.max(most, totalBytes(memory.rank(range, rank, group.length)) / worker.memoryBytes),
    0,
  );

function cut(
  { memory, model }: StageProblem,
  groups: readonly (readonly PlannerWorker[])[],
  cost: StageCost,
): PipelineLayout | null {
  if (groups.length === 0) return null;
  const ranges = partitionLayers(memory.layers, groups.length, (s, range) =>
    range.first > 0 && model.layers[range.first]!.withPrevious
      ? Number.POSITIVE_INFINITY
      : cost(memory, range, groups[s]!),
  );
  return ranges?.map((range, s) => ({ ...range, ranks: groups[s]! })) ?? null;
}

/** What is missing for pipeline p: workers, or memory for each stage of the cut that overflows least. */
function shortages(problem: StageProblem, p: number, free: readonly PlannerWorker[]): string[] {
  const { layout, model, memory } = problem;
  const ranks = layout.tensorParallelSize ?? 1;
  const possible = mostStages(model);
  const most = Math.min(possible, Math.floor(free.length / ranks));
  const stages = layout.pipelineParallelSize ?? most;
  if (stages > possible) {
    const why = possible < model.layers.length ? `, some of which read what others left; use up to ${possible}` : '';
    return [`pipeline-parallel size ${stages}: the model has ${model.layers.length} layers${why}`];
  }
  if (most === 0 || stages > most) {
    const needed = Math.max(1, stages) * ranks;
    return [
      `pipeline p${p} needs ${needed} workers that may hold stages (${Math.max(1, stages)} stages of ${ranks} ranks); ${free.length} are free`,
    ];
  }
  const groups = rankGroups([...free].sort(bySize), ranks).slice(0, stages);
  const largest = Math.max(...free.map((worker) => worker.memoryBytes));
  return (cut(problem, groups, fullness) ?? []).flatMap((stage) =>
    stage.ranks.flatMap((worker, rank) => {
      const bytes = memory.rank(stage, rank, stage.ranks.length);
      if (totalBytes(bytes) <= worker.memoryBytes) return [];
      const parts = [`weights ${formatBytes(bytes.weightBytes)}`, `cache ${formatBytes(bytes.cacheBytes)}`];
      if (bytes.expertBytes > 0) parts.push(`experts ${formatBytes(bytes.expertBytes)}`);
      const what = `stage layers ${stage.first}-${stage.end - 1}${stage.ranks.length > 1 ? ` rank ${rank}` : ''}`;
      return [
        `needs ${formatBytes(totalBytes(bytes))} for ${what} of pipeline p${p} on one worker (${parts.join(', ')}); worker "${worker.id}" has ${formatBytes(worker.memoryBytes)}, the largest has ${formatBytes(largest)}`,
      ];
    }),
  );
}

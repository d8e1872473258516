// The planner: what there is and what is wanted in, one placement plan out. Pure; the same input gives the same plan, and a
// plan made with its own result as the plan before is that result. Where what is there stands in the way of any plan at all,
// the plan is made from scratch.
import { isDeepStrictEqual } from 'node:util';
import type { PlacementPlan } from '../../proto/messages.ts';
import { assemble } from './assemble.ts';
import { constraintProblems } from './input/constraints.ts';
import { formatProblems, keepsFormat } from './input/formats.ts';
import type { PlanInput, PlanResult } from './input/input.ts';
import { type ModelFootprint, modelFootprint } from './input/memory.ts';
import { ownPools, planExperts } from './stages/pools.ts';
import { StageMemory } from './stages/stage-memory.ts';
import { type FormerStage, type PipelineLayout, planStages } from './stages/stages.ts';

/** Plans from scratch, or from a plan that is in force. */
export function plan(input: PlanInput): PlanResult {
  const model = modelFootprint(input.spec, input.weights);
  const invalid = constraintProblems(input, model);
  if (invalid.length > 0) return { kind: 'infeasible', problems: invalid };

  const former = usable(input);
  const first = attempt(input, model, former);
  const result = first.kind === 'infeasible' && former !== null ? attempt(input, model, null) : first;
  const unable = formatProblems(input.workers, input.weights);
  return result.kind === 'infeasible'
    ? { ...result, problems: [...result.problems, ...unable] }
    : { ...result, shortfalls: [...result.shortfalls, ...unable] };
}

function attempt(input: PlanInput, model: ModelFootprint, former: PlacementPlan | null): PlanResult {
  const workers = [...input.workers]
    .filter((worker) => !input.constraints.draining.includes(worker.id) && keepsFormat(worker, input.weights))
    .sort((a, b) => (a.id < b.id ? -1 : 1));
  const hosts = workers.filter((worker) => worker.roles.includes('expert'));
  const { kvBlocks, blockSize, stateSlots } = input.constraints;
  const memory = new StageMemory(model, { kvBlocks, blockSize, stateSlots }, hosts.length === 0);
  const stages = planStages({
    model,
    memory,
    layout: input.constraints.layout,
    workers: workers.filter((worker) => worker.roles.includes('stage')),
    cordoned: input.constraints.cordoned,
    former: former === null ? [] : formerStages(former),
  });
  if (stages.problems.length > 0) return { kind: 'infeasible', problems: stages.problems };

  const reserved = stageBytes(stages.pipelines, memory);
  const pools =
    hosts.length > 0 ? [{ workers: hosts, first: 0, end: model.layers.length }] : ownPools(stages.pipelines);
  const experts = planExperts(input, model, former, pools, reserved);
  if (experts.problems.length > 0) return { kind: 'infeasible', problems: experts.problems };
  const next = assemble(input, model, workers, stages.pipelines, memory, experts, former);
  const unchanged = former !== null && samePlacement(former, next);
  return { kind: 'planned', plan: unchanged ? former : next, shortfalls: experts.shortfalls };
}

/** Equal but for what says when, why and by whom a plan was made. */
function samePlacement(a: PlacementPlan, b: PlacementPlan): boolean {
  const made = { epoch: 0, term: 0, reason: '', rollbackCause: '' };
  return isDeepStrictEqual({ ...a, ...made }, { ...b, ...made });
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
      const { weightBytes, cacheBytes } = memory.rank(stage, rank, stage.ranks.length);
      bytes.set(worker.id, weightBytes + cacheBytes);
    });
  }
  return bytes;
}

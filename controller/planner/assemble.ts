import type { PlacementPlan } from '../../proto/messages.ts';
import type { PlanInput, PlannerWorker } from './input/input.ts';
import type { ModelFootprint } from './input/memory.ts';
import { sliceBytes } from './slots/pool.ts';
import { formerPlacement, type PlannedExperts } from './stages/pools.ts';
import { rankShare, type StageMemory } from './stages/stage-memory.ts';
import type { PipelineLayout } from './stages/stages.ts';

/** The plan as a document: workers that hold nothing are left out, slots are in the order of expert, slice and worker. */
export function assemble(
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
      stateSlots: input.constraints.stateSlots,
      stages: stages.map((stage) => ({
        firstLayer: stage.first,
        endLayer: stage.end,
        ranks: stage.ranks.map((worker, rank) => ({
          worker: indexOf.get(worker.id)!,
          share: rankShare(rank, stage.ranks.length),
          cacheBytes: memory.rank(stage, rank, stage.ranks.length).cacheBytes,
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
    rollbackCause: '',
    constraintsRevision: input.constraintsRevision,
    term: input.term,
    blockSize: input.constraints.blockSize,
  };
}

import type { ChangePreview } from '../../../proto/generated/conclave/v1/ChangePreview.ts';
import type { PlacementPlan } from '../../../proto/messages.ts';
import { diffPlans, type SlotOf } from '../../planner/diff.ts';
import type { PlanResult } from '../../planner/input/input.ts';
import type { ModelFootprint } from '../../planner/input/memory.ts';
import { sliceBytes } from '../../planner/slots/pool.ts';

/** What a change would do: from the plan that the cluster works towards to the one that it would get. */
export function changePreview(
  model: ModelFootprint,
  from: PlacementPlan | null,
  result: PlanResult,
  refusals: readonly string[],
): ChangePreview {
  if (result.kind === 'infeasible') return { refusals: [...refusals], shortfalls: [], workers: [] };
  const bytesOf = (slots: readonly SlotOf[]): number =>
    slots.reduce((sum, { layer, slices }) => {
      const experts = model.layers[layer]?.experts ?? null;
      return experts === null ? sum : sum + sliceBytes(experts, slices);
    }, 0);
  return {
    refusals: [...refusals],
    shortfalls: [...result.shortfalls],
    workers: diffPlans(from, result.plan).workers.map(({ id, load, unload, ranks }) => ({
      workerId: id,
      loads: load.length,
      loadBytes: bytesOf(load),
      frees: unload.length,
      freeBytes: bytesOf(unload),
      stageChanges: ranks !== null,
    })),
  };
}

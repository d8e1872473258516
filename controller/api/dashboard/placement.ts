import type { PlacementPlan } from '../../../proto/messages.ts';

/** Which workers hold which experts; for each layer and expert indices into `workers`, slices of one worker once. */
export function placementOf(plan: PlacementPlan | null) {
  if (plan === null) return { epoch: 0, workers: [], layers: [] };
  return {
    epoch: plan.epoch,
    workers: plan.workers.map(({ id }) => id),
    layers: plan.experts.map(({ layer, expert, worker }) => {
      const holders: number[][] = [];
      expert.forEach((logical, slot) => {
        const known = (holders[logical] ??= []);
        const holder = worker[slot] ?? 0;
        if (!known.includes(holder)) known.push(holder);
      });
      return { layer, experts: Array.from(holders, (known) => known ?? []) };
    }),
  };
}

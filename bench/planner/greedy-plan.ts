import type { ExpertLoad, PlanInput } from '../../controller/planner/input/input.ts';
import type { PlacementPlan } from '../../proto/messages.ts';

/**
 * The baseline: the slots of `like`, placed heaviest first on the least loaded worker that has room and no replica of the
 * expert yet. Knows nothing of nodes, layers or the plan before.
 */
export function greedyPlan(like: PlacementPlan, input: PlanInput): PlacementPlan {
  const hosts = input.workers.filter((worker) => worker.roles.includes('expert'));
  const ids = new Map(hosts.map((worker, index) => [worker.id, index]));
  const room = hosts.map((worker) => worker.memoryBytes);
  const load = new Float64Array(hosts.length);
  const bytes = like.workers
    .filter((worker) => ids.has(worker.id))
    .reduce((sum, worker) => sum + worker.weightBytes, 0);
  const slots = like.experts.flatMap((placement, m) =>
    placement.expert.map((expert) => ({ m, expert, load: slotLoad(like, m, expert, input.load) })),
  );
  const slotBytes = bytes / slots.length;
  slots.sort((a, b) => b.load - a.load || a.m - b.m || a.expert - b.expert);
  const taken = new Set<string>();
  const experts = like.experts.map((placement) => ({
    ...placement,
    expert: [] as number[],
    slice: [] as number[],
    worker: [] as number[],
  }));
  for (const slot of slots) {
    let best = -1;
    for (let host = 0; host < hosts.length; host++) {
      if (room[host]! < slotBytes || (best >= 0 && load[host]! >= load[best]!)) continue;
      if (!taken.has(`${slot.m}/${slot.expert}/${host}`)) best = host;
    }
    if (best < 0) throw new Error('the greedy baseline finds no room');
    taken.add(`${slot.m}/${slot.expert}/${best}`);
    room[best]! -= slotBytes;
    load[best]! += slot.load;
    experts[slot.m]!.expert.push(slot.expert);
    experts[slot.m]!.slice.push(0);
    experts[slot.m]!.worker.push(best);
  }
  return {
    ...like,
    pipelines: [],
    workers: hosts.map(({ id, address }) => ({ id, address, weightBytes: 0 })),
    experts,
  };
}

function slotLoad(plan: PlacementPlan, m: number, expert: number, load: readonly ExpertLoad[] | null): number {
  const placement = plan.experts[m]!;
  const rows = load?.find((entry) => entry.layer === placement.layer)?.expertRows[expert] ?? 1;
  return rows / placement.expert.filter((other) => other === expert).length;
}

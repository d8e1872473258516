import type { PlacementPlan } from '../../../proto/messages.ts';
import type { ExpertLoad } from '../input/input.ts';

/** How evenly a plan spreads expert load over workers, replicas sharing their expert's rows evenly. 1: even. */
export interface Balance {
  /** Mean over the layers of the busiest worker's load divided by the mean worker's. */
  readonly layers: number;
  /** The least that `layers` can be: a layer's heaviest slot is never below the mean. */
  readonly layersLimit: number;
  /** The busiest worker's load over all layers divided by the mean worker's. */
  readonly total: number;
}

/** Balance over the `workers` that may hold experts; without load all experts count the same. Null without experts. */
export function expectedBalance(
  plan: PlacementPlan,
  load: readonly ExpertLoad[] | null,
  workers: number,
): Balance | null {
  if (plan.experts.length === 0 || workers === 0) return null;
  const total = new Float64Array(plan.workers.length);
  let layers = 0;
  let layersLimit = 0;
  for (const placement of plan.experts) {
    const { perWorker, heaviest } = layerLoad(placement, load);
    const mean = sum(perWorker) / workers;
    layers += max(perWorker) / mean;
    layersLimit += Math.max(1, heaviest / mean);
    perWorker.forEach((value, worker) => {
      total[worker]! += value;
    });
  }
  return {
    layers: layers / plan.experts.length,
    layersLimit: layersLimit / plan.experts.length,
    total: max(total) / (sum(total) / workers),
  };
}

function layerLoad(
  { layer, slices, expert, worker }: PlacementPlan['experts'][number],
  load: readonly ExpertLoad[] | null,
): { readonly perWorker: Float64Array; readonly heaviest: number } {
  const rows = load?.find((entry) => entry.layer === layer)?.expertRows;
  const slots = new Map<number, number>();
  for (const id of expert) slots.set(id, (slots.get(id) ?? 0) + 1);
  const measured = rows !== undefined && [...slots.keys()].some((id) => (rows[id] ?? 0) > 0);
  const perWorker = new Float64Array(1 + max(worker));
  let heaviest = 0;
  expert.forEach((id, i) => {
    const share = (measured ? (rows[id] ?? 0) : 1) / slots.get(id)! / slices;
    heaviest = Math.max(heaviest, share * slices);
    perWorker[worker[i]!]! += share * slices;
  });
  return { perWorker, heaviest };
}

function max(values: Iterable<number>): number {
  let largest = 0;
  for (const value of values) largest = Math.max(largest, value);
  return largest;
}

function sum(values: Float64Array): number {
  return values.reduce((all, value) => all + value, 0);
}

import type { PlacementPlan } from '../../../proto/messages.ts';
import { type ExpertLoadBook, imbalance } from './expert-load.ts';

/** Busiest worker over mean up to which a layer is left alone. */
const ENOUGH = 1.05;
/** Standard errors of a worker's rows by which a layer must be beyond that. */
const ERRORS = 1.5;
/** Rows come in twos and more that go the same way, as the tokens of one text do: so much more often than by chance. */
const CLUSTERING = 2;

/**
 * Layers whose busiest worker has clearly more than its share. `rows` that `workers` share by chance differ by
 * sqrt(workers / rows) of a worker's share: what may be chance is no reason to load anything.
 */
export function overloadedLayers(
  plan: PlacementPlan,
  load: Pick<ExpertLoadBook, 'rates' | 'rowsSeen'>,
): readonly { readonly layer: number; readonly imbalance: number }[] {
  const placed = new Map(plan.experts.map((placement) => [placement.layer, placement]));
  return (load.rates() ?? []).flatMap((rates) => {
    const placement = placed.get(rates.layer);
    const rows = load.rowsSeen(rates.layer);
    if (placement === undefined || rows === 0) return [];
    const workers = new Set(placement.worker).size;
    const found = imbalance(plan, rates);
    const chance = ERRORS * Math.sqrt((CLUSTERING * workers) / rows);
    return found > ENOUGH + chance ? [{ layer: rates.layer, imbalance: found }] : [];
  });
}

import type { PlacementPlan } from '../../../proto/messages.ts';
import { diffPlans } from '../../planner/diff.ts';
import { plannedReplicas } from '../requests/requests.ts';
import { imbalance, type LayerRates } from './expert-load.ts';

/** Experts that are named one by one. */
const NAMED = 6;

/** What a plan moves because of load, and why: for people. */
export interface RebalanceText {
  /** In few words, as a plan's reason. */
  readonly reason: string;
  /** With the experts that move most rows. */
  readonly details: string;
  /** Slots to load. */
  readonly loads: number;
}

interface Moved {
  readonly text: string;
  readonly rows: number;
}

export function rebalanceText(
  before: PlacementPlan,
  after: PlacementPlan,
  rates: readonly LayerRates[],
  layers: readonly number[],
): RebalanceText {
  const { workers, loads } = diffPlans(before, after);
  const touched = new Set(workers.flatMap(({ load, unload }) => [...load, ...unload].map(({ layer }) => layer)));
  const changed = rates.filter(({ layer }) => layers.includes(layer) && touched.has(layer));
  const worst = changed.reduce(
    (most, layer) => (imbalance(before, layer) > most.before ? { before: imbalance(before, layer), layer } : most),
    { before: 0, layer: changed[0] ?? { layer: 0, expertRows: [] } },
  );
  const where =
    touched.size === 1 ? `layer ${worst.layer.layer}` : `${touched.size} layers, layer ${worst.layer.layer} most`;
  const ratio = `${worst.before.toFixed(2)} → ${imbalance(after, worst.layer).toFixed(2)}`;
  const reason = `follows the load of ${where}: busiest worker over mean ${ratio}, ${loads} slots to load`;
  const moved = changed.flatMap((layer) => movesOf(before, after, layer, workers)).sort((a, b) => b.rows - a.rows);
  const named = moved.slice(0, NAMED).map(({ text }) => text);
  const more = moved.length > NAMED ? [`and ${moved.length - NAMED} more experts`] : [];
  return { reason, details: [reason, ...named, ...more].join('; '), loads };
}

/** Every expert of the layer with another number of replicas, or with replicas elsewhere. */
function movesOf(
  before: PlacementPlan,
  after: PlacementPlan,
  { layer, expertRows }: LayerRates,
  workers: ReturnType<typeof diffPlans>['workers'],
): readonly Moved[] {
  const had = plannedReplicas(before).get(layer) ?? [];
  const gets = plannedReplicas(after).get(layer) ?? [];
  const all = expertRows.reduce((sum, rows) => sum + rows, 0);
  return expertRows.flatMap((rows, expert) => {
    const holds = (list: 'load' | 'unload') =>
      workers.filter((worker) => worker[list].some((slot) => slot.layer === layer && slot.expert === expert));
    const [to, from] = [holds('load'), holds('unload')].map((ids) => ids.map(({ id }) => id).join(', '));
    if (to === '' && from === '') return [];
    const share = `${((100 * rows) / Math.max(all, 1e-9)).toFixed(0)} % of its rows`;
    const what =
      had[expert] === gets[expert]
        ? `${from} → ${to}`
        : `${had[expert] ?? 0} → ${gets[expert] ?? 0} replicas (${to === '' ? `off ${from}` : `on ${to}`})`;
    return [{ text: `layer ${layer} expert ${expert} (${share}): ${what}`, rows }];
  });
}

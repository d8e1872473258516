import type { LoadReport__Output as LoadReport } from '../../../proto/generated/conclave/v1/LoadReport.ts';
import type { ModelSpec, PlacementPlan } from '../../../proto/messages.ts';
import { expertCount } from '../../../proto/model/operators.ts';

/** Seconds over which load is averaged: long enough to ride out a prompt, short enough to follow a change of traffic. */
const HALF_LIFE_SECONDS = 10;

export interface LayerRates {
  readonly layer: number;
  /** Rows per second, [experts]. */
  readonly expertRows: readonly number[];
}

interface Measured {
  /** [experts]; old ones count less. */
  readonly rows: Float64Array;
  /** Seconds that the rows came in, counted alike. */
  seconds: number;
}

/** Rows per second that each expert is asked for: an exponentially weighted mean over the reports of all stages. */
export class ExpertLoadBook {
  readonly #layers = new Map<number, Measured>();
  readonly #experts: ReadonlyMap<number, number>;

  constructor(spec: ModelSpec) {
    this.#experts = new Map(
      spec.layers.map((layer, index) => [index, expertCount(layer)] as const).filter(([, experts]) => experts > 0),
    );
  }

  /** Adds a report. One that does not fit the model is ignored. */
  add(report: LoadReport): void {
    if (!(report.seconds > 0)) return;
    const decay = 0.5 ** (report.seconds / HALF_LIFE_SECONDS);
    for (const { layer, expertRows } of report.layers) {
      const experts = this.#experts.get(layer);
      if (experts === undefined || expertRows.length !== experts) continue;
      const measured = this.#layers.get(layer) ?? { rows: new Float64Array(experts), seconds: 0 };
      measured.seconds = measured.seconds * decay + report.seconds;
      expertRows.forEach((rows, expert) => {
        measured.rows[expert] = measured.rows[expert]! * decay + rows;
      });
      this.#layers.set(layer, measured);
    }
  }

  /** Rates by layer, or null before the first report. */
  rates(): readonly LayerRates[] | null {
    if (this.#layers.size === 0) return null;
    return [...this.#layers]
      .sort(([a], [b]) => a - b)
      .map(([layer, { rows, seconds }]) => ({ layer, expertRows: Array.from(rows, (count) => count / seconds) }));
  }

  /** Rows that the rates of a layer rest on: few of them say little. */
  rowsSeen(layer: number): number {
    return this.#layers.get(layer)?.rows.reduce((sum, count) => sum + count, 0) ?? 0;
  }

  /** Rows per second of one expert; 0 before the first report. */
  rateOf({ layer, expert }: { readonly layer: number; readonly expert: number }): number {
    const measured = this.#layers.get(layer);
    return (measured?.rows[expert] ?? 0) / (measured?.seconds ?? 1);
  }

  /** The `count` experts with the most load over all layers, busiest first; fewer where no more have any. */
  hottest(count: number): readonly { readonly layer: number; readonly expert: number }[] {
    return (this.rates() ?? [])
      .flatMap(({ layer, expertRows }) => expertRows.map((rate, expert) => ({ layer, expert, rate })))
      .filter(({ rate }) => rate > 0)
      .sort((a, b) => b.rate - a.rate || a.layer - b.layer || a.expert - b.expert)
      .slice(0, count)
      .map(({ layer, expert }) => ({ layer, expert }));
  }
}

/** Rows per second by worker id; replicas share rows evenly. */
export function workerRates(plan: PlacementPlan, rates: readonly LayerRates[]): ReadonlyMap<string, number> {
  const totals = new Map<string, number>();
  for (const layer of rates) {
    for (const [worker, rows] of rowsByWorker(plan, layer)) {
      const id = plan.workers[worker]?.id ?? '';
      totals.set(id, (totals.get(id) ?? 0) + rows);
    }
  }
  return totals;
}

/** Busiest worker's rows over the mean of the workers that hold slots of the layer; replicas share rows evenly. 1: balanced. */
export function imbalance(plan: PlacementPlan, rates: LayerRates): number {
  const all = [...rowsByWorker(plan, rates).values()];
  const mean = all.reduce((sum, value) => sum + value, 0) / all.length;
  return mean > 0 ? Math.max(...all) / mean : 1;
}

/** Rows of a layer by index of the worker in the plan. */
function rowsByWorker(plan: PlacementPlan, { layer, expertRows }: LayerRates): ReadonlyMap<number, number> {
  const rows = new Map<number, number>();
  const placement = plan.experts.find((entry) => entry.layer === layer);
  if (placement === undefined) return rows;
  const replicas = new Map<number, number>();
  for (const expert of placement.expert) replicas.set(expert, (replicas.get(expert) ?? 0) + 1 / placement.slices);
  placement.expert.forEach((expert, i) => {
    const worker = placement.worker[i] ?? 0;
    const share = (expertRows[expert] ?? 0) / placement.slices / (replicas.get(expert) ?? 1);
    rows.set(worker, (rows.get(worker) ?? 0) + share);
  });
  return rows;
}

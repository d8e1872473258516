// An hour of a cluster whose load drifts: what following it moves, and how even it stays, beside the baseline's placement
// that is made again every minute for the loads of that moment. Reports carry the noise of as many rows as such a cluster
// computes; the baseline knows the loads themselves.
import { ExpertLoadBook } from '../../controller/cluster/load/expert-load.ts';
import { RebalanceTrigger, slotsPerMinute } from '../../controller/cluster/load/rebalance-trigger.ts';
import { diffPlans } from '../../controller/planner/diff.ts';
import { type PlanInput, type RebalanceBudget } from '../../controller/planner/input/input.ts';
import { plan } from '../../controller/planner/plan.ts';
import type { PlacementPlan } from '../../proto/messages.ts';
import { type BenchPart, type BenchRow, rounded } from '../report.ts';
import { type BalanceCase, meanOf, packings, planInputOf } from './balance-cases.ts';
import { eplb, type LayerPacking } from './eplb.ts';
import { generator, zipf } from './loads.ts';

const layers = 16;
const size = { experts: 256, slots: 1_000, workers: 1_000 } as const;
const minutes = 60;
const reportSeconds = 2;
/** Rows per second of a layer: a million tokens a minute for each of 8 experts and more. */
const rowsPerSecond = 200_000;
/** Seconds after which two experts of every layer have changed places in popularity. */
const swapSeconds = 20;
/** bf16, 7168 × 2048. */
const expertBytes = 3 * 7168 * 2048 * 2;
const rowsShown = 12;
/** Seconds between looks at how even both are. */
const lookSeconds = 10;

interface Sample {
  readonly minute: number;
  readonly moves: number;
  /** Busiest worker over mean, in the mean of the layers, at each look. */
  readonly ours: readonly number[];
  readonly baseline: readonly number[];
  readonly baselineMoves: number;
}

/** The load of every layer as it drifts: popularity goes over gradually, within half a minute. */
class DriftingLoad {
  readonly now: number[][];
  readonly #target: number[][];
  readonly #random: () => number;

  constructor(random: () => number) {
    this.#random = random;
    this.#target = Array.from({ length: layers }, () => zipf(size.experts, 0.8, random));
    this.now = this.#target.map((loads) => [...loads]);
  }

  pass(seconds: number): void {
    for (const [layer, target] of this.#target.entries()) {
      if (this.#random() < seconds / swapSeconds) {
        const [a, b] = [this.#pick(), this.#pick()];
        [target[a], target[b]] = [target[b]!, target[a]!];
      }
      const loads = this.now[layer]!;
      target.forEach((load, expert) => {
        loads[expert]! += (load - loads[expert]!) * (1 - 0.5 ** (seconds / 10));
      });
    }
  }

  /** Rows of some seconds, off as chance has it. */
  rows(layer: number, seconds: number): number[] {
    const loads = this.now[layer]!;
    const all = loads.reduce((sum, load) => sum + load, 0);
    return loads.map((load) => {
      const expected = (rowsPerSecond * seconds * load) / all;
      const normal = Math.sqrt(-2 * Math.log(this.#random())) * Math.cos(2 * Math.PI * this.#random());
      return Math.max(0, Math.round(expected + Math.sqrt(expected) * normal));
    });
  }

  #pick(): number {
    return Math.floor(this.#random() * size.experts);
  }
}

/** Simulates the hour. */
export function rebalanceHour(seed: number): BenchPart {
  const load = new DriftingLoad(generator(seed));
  const clock = { ms: 0 };
  const at = (): BalanceCase => ({
    ...{ ...size, name: 'rebalance' },
    load: load.now.map((expertRows, layer) => ({ layer, expertRows })),
  });
  // Room for one slot more on every worker than its share: what is loaded first needs a place.
  const base = planInputOf(at());
  const input: PlanInput = {
    ...base,
    workers: base.workers.map((worker) => ({ ...worker, memoryBytes: Math.ceil(1.25 * worker.memoryBytes) })),
  };
  const book = new ExpertLoadBook(input.spec);
  const trigger = new RebalanceTrigger({ mode: 'auto', load: book, now: () => clock.ms });
  let ours = planned(input);
  let baseline = baselineOf(load);
  const samples: Sample[] = [];
  let slowest = 0;
  for (let minute = 1; minute <= minutes; minute++) {
    let moves = 0;
    const looks = { ours: [] as number[], baseline: [] as number[] };
    for (let second = 0; second < 60; second += reportSeconds) {
      load.pass(reportSeconds);
      clock.ms += 1_000 * reportSeconds;
      const rows = load.now.map((_, layer) => ({ layer, expertRows: load.rows(layer, reportSeconds) }));
      book.add({ workerId: 'lead', seconds: reportSeconds, layers: rows, activity: null });
      const budget = trigger.look(ours);
      if (budget !== null) {
        const started = performance.now();
        const next = followed(input, book, ours, budget);
        slowest = Math.max(slowest, performance.now() - started);
        const { loads } = diffPlans(ours, next);
        trigger.planned(loads);
        moves += loads;
        ours = next;
      }
      if (second % lookSeconds !== 0) continue;
      looks.ours.push(1 / meanOf(packings(at(), ours)));
      looks.baseline.push(1 / meanOf(underLoad(baseline, load)));
    }
    const remade = baselineOf(load);
    samples.push({ ...looks, minute, moves, baselineMoves: movesBetween(baseline, remade) });
    baseline = remade;
  }
  return report(samples, slotsPerMinute(ours), slowest);
}

function planned(input: PlanInput): PlacementPlan {
  const result = plan(input);
  if (result.kind !== 'planned') throw new Error(result.problems.join('\n'));
  return result.plan;
}

function followed(
  input: PlanInput,
  book: ExpertLoadBook,
  previous: PlacementPlan,
  rebalance: RebalanceBudget,
): PlacementPlan {
  return planned({ ...input, load: book.rates(), previous, rebalance });
}

function baselineOf(load: DriftingLoad): LayerPacking[] {
  return load.now.map((expertRows) => eplb(expertRows, size.slots, size.workers));
}

/** The same slots as the load is now. */
function underLoad(layers: readonly LayerPacking[], { now }: DriftingLoad): LayerPacking[] {
  return layers.map((packing, layer) => {
    const replicas = new Map<number, number>();
    for (const { expert } of packing.flat()) replicas.set(expert, (replicas.get(expert) ?? 0) + 1);
    return packing.map((held) =>
      held.map(({ expert }) => ({ expert, load: now[layer]![expert]! / replicas.get(expert)! })),
    );
  });
}

/** Slots that a worker did not hold before. */
function movesBetween(before: readonly LayerPacking[], after: readonly LayerPacking[]): number {
  let moves = 0;
  for (const [layer, packing] of after.entries()) {
    packing.forEach((held, worker) => {
      const had = new Set(before[layer]![worker]!.map(({ expert }) => expert));
      for (const { expert } of held) if (!had.has(expert)) moves += 1;
    });
  }
  return moves;
}

function report(samples: readonly Sample[], allowed: number, slowestMs: number): BenchPart {
  const shown = samples.filter(({ minute }) => minute % (minutes / rowsShown) === 0);
  return {
    title: 'An hour of drifting load: what follows it, and what it costs',
    conditions: {
      ...{ workers: size.workers, layers, experts: size.experts, 'slots of a layer': size.slots },
      load: `Zipf, exponent 0.8; two experts of every layer change places every ${swapSeconds} s`,
      'rows of a layer per second': rowsPerSecond,
      'moves allowed per minute': allowed,
      'longest plan ms': rounded(slowestMs),
    },
    rows: [...shown.map(row), summary(samples)],
  };
}

function row({ minute, moves, ours, baseline, baselineMoves }: Sample): BenchRow {
  return {
    minute,
    'moves in it': rounded(moves),
    'GiB loaded': rounded((moves * expertBytes) / 2 ** 30),
    'imbalance (busiest over mean)': rounded(mean(ours)),
    'worst in it': rounded(Math.max(...ours)),
    'EPLB, made again every minute': rounded(mean(baseline)),
    'its worst': rounded(Math.max(...baseline)),
    'its moves': rounded(baselineMoves),
  };
}

function summary(samples: readonly Sample[]): BenchRow {
  const all = {
    ...{ minute: 0, ours: samples.flatMap(({ ours }) => ours), baseline: samples.flatMap(({ baseline }) => baseline) },
    moves: mean(samples.map(({ moves }) => moves)),
    baselineMoves: mean(samples.map(({ baselineMoves }) => baselineMoves)),
  };
  return { ...row(all), minute: 'all' };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

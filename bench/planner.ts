// How long does the planner take for a large cluster, how even are its plans, and how much do they move when something changes?

import { diffPlans } from '../controller/planner/diff.ts';
import {
  defaultConstraints,
  type ExpertLoad,
  type PlanInput,
  type PlannerWorker,
} from '../controller/planner/input/input.ts';
import { plan } from '../controller/planner/plan.ts';
import { expectedBalance } from '../controller/planner/slots/balance.ts';
import type { PlacementPlan } from '../proto/messages.ts';
import { balanceCases, meanOf, packings, planInputOf } from './planner/balance-cases.ts';
import { eplb } from './planner/eplb.ts';
import { greedyPlan } from './planner/greedy-plan.ts';
import { generator, logNormal } from './planner/loads.ts';
import { moeSpec } from './planner/moe-spec.ts';
import { rebalanceHour } from './planner/rebalance.ts';
import { type BenchPart, type BenchRow, publish, rounded, spread } from './report.ts';

const seed = 1;
const workerCount = 1000;
const stageCount = 8;
const runs = 5;
const redundancy = 0.1;
const shape = {
  layers: 61,
  hidden: 7168,
  vocab: 129_280,
  heads: 128,
  kvHeads: 8,
  headDim: 128,
  experts: 256,
  topK: 8,
  intermediate: 2048,
  sharedIntermediate: 2048,
  qkNorm: 'QK_NORM_UNSPECIFIED',
} as const;
const spec = moeSpec(shape);
const expertBytes = 3 * shape.hidden * shape.intermediate * 2;

/** Rows per expert of every layer. */
function loads(random: () => number, sigma: number): ExpertLoad[] {
  return Array.from({ length: shape.layers }, (_, layer) => ({
    layer,
    expertRows: logNormal(shape.experts, sigma, random).map((load) => 1000 * load),
  }));
}

/** The load a while later: every expert's rows off by a few tens of percent. */
function drifted(before: readonly ExpertLoad[], random: () => number): ExpertLoad[] {
  return before.map(({ layer, expertRows }) => ({
    layer,
    expertRows: expertRows.map((rows) => rows * (0.7 + 0.6 * random())),
  }));
}

const workers: readonly PlannerWorker[] = Array.from({ length: workerCount }, (_, i) => ({
  id: `w${String(i).padStart(4, '0')}`,
  address: `10.0.${i >> 8}.${i & 255}:9000`,
  node: `node${i >> 3}`,
  roles: i < stageCount ? ['stage'] : ['expert'],
  memoryBytes: i < stageCount ? 64e9 : 24 * expertBytes,
  cores: 16,
  device: 'cpu',
}));
const random = generator(seed);
const load = loads(random, 0.8);
const later = drifted(load, random);
const input: PlanInput = {
  spec,
  weights: 'bf16',
  workers,
  load,
  constraints: { ...defaultConstraints, redundancy, kvBlocks: 4096 },
  constraintsRevision: 0,
  term: 1,
  previous: null,
  reason: 'bench',
};

function planned(what: PlanInput): PlacementPlan {
  const result = plan(what);
  if (result.kind !== 'planned') throw new Error(result.problems.join('\n'));
  return result.plan;
}

const first = planned(input);
const greedyFirst = greedyPlan(first, input);
const gone = workers.filter((_, i) => i !== 500);
const joined: PlannerWorker = { ...workers[500]!, id: 'w1000', address: '10.0.9.9:9000' };
const cases: readonly { readonly name: string; readonly input: PlanInput }[] = [
  { name: 'plan from nothing', input },
  { name: 'replan, nothing changed', input: { ...input, previous: first } },
  { name: 'replan, a worker less', input: { ...input, workers: gone, previous: first } },
  { name: 'replan, a worker more', input: { ...input, workers: [...workers, joined], previous: first } },
  { name: 'replan, load drifted by up to 30 %', input: { ...input, load: later, previous: first } },
  {
    name: 'replan, 2 replicas of everything',
    input: {
      ...input,
      workers: workers.map((worker) => ({ ...worker, memoryBytes: 2 * worker.memoryBytes })),
      constraints: { ...input.constraints, defaultReplicas: 2 },
      previous: first,
    },
  },
];

const rows = cases.flatMap(({ name, input: what }): BenchRow[] => {
  const ours = measure(() => planned(what));
  const base = measure(() => greedyPlan(planned(what), what));
  const from = what.previous;
  return [
    row(name, 'conclave', ours, what, from === null ? null : diffPlans(from, ours.plan).loads),
    row(name, 'greedy', base, what, from === null ? null : diffPlans(greedyFirst, base.plan).loads),
  ];
});

interface Measured {
  readonly plan: PlacementPlan;
  readonly seconds: readonly number[];
  /** Processor time, garbage collection included. */
  readonly cpuSeconds: readonly number[];
}

function measure(make: () => PlacementPlan): Measured {
  let result = make();
  const cpuSeconds: number[] = [];
  const seconds = Array.from({ length: runs }, () => {
    const start = performance.now();
    const before = process.cpuUsage();
    result = make();
    const { user, system } = process.cpuUsage(before);
    cpuSeconds.push((user + system) / 1e6);
    return (performance.now() - start) / 1000;
  });
  return { plan: result, seconds, cpuSeconds };
}

function row(
  name: string,
  planner: string,
  { plan: made, seconds, cpuSeconds }: Measured,
  what: PlanInput,
  moved: number | null,
): BenchRow {
  const hosts = what.workers.filter((worker) => worker.roles.includes('expert')).length;
  const balance = expectedBalance(made, what.load, hosts)!;
  const { median, most } = spread(seconds);
  return {
    case: name,
    planner,
    'median s': planner === 'greedy' ? '' : rounded(median),
    'most s': planner === 'greedy' ? '' : rounded(most),
    'median CPU s': planner === 'greedy' ? '' : rounded(spread(cpuSeconds).median),
    slots: made.experts.reduce((sum, placement) => sum + placement.expert.length, 0),
    'slots to load': moved ?? '',
    'balancedness (mean/max)': rounded(1 / balance.total),
    'in a layer': rounded(1 / balance.layers),
    'at best in a layer': rounded(1 / balance.layersLimit),
  };
}

const evenness: BenchPart = {
  title: 'How even a layer is beside EPLB, on the same loads and slots',
  conditions: { measure: "mean over layers of the mean worker's load divided by the busiest worker's; 1 is even" },
  rows: balanceCases.map((each) => ({
    case: each.name,
    conclave: meanOf(packings(each, planned(planInputOf(each)))).toFixed(4),
    EPLB: meanOf(each.load.map(({ expertRows }) => eplb(expertRows, each.slots, each.workers))).toFixed(4),
  })),
};

publish({
  name: 'planner',
  question: 'How long does a plan take, how even is it, and how much does it move?',
  conditions: {
    workers: workerCount,
    layers: shape.layers,
    experts: shape.experts,
    redundancy,
    load: 'log-normal, sigma 0.8, independent per layer',
    runs,
  },
  seed,
  rows,
  parts: [evenness, rebalanceHour(seed)],
  notes: [
    'greedy: the same replica counts, heaviest slot first to the least loaded worker, with no regard to the plan before.',
    'balancedness: mean over busiest worker, 1 is even; in a layer it is bounded by the heaviest slot, as layers have fewer slots than there are workers.',
  ],
});

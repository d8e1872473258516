import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type MoeShape, moeSpec } from '../../../../bench/planner/moe-spec.ts';
import { diffPlans } from '../../../../controller/planner/diff.ts';
import { defaultConstraints, type PlanInput, type PlannerWorker } from '../../../../controller/planner/input/input.ts';
import { plan } from '../../../../controller/planner/plan.ts';
import { conclave, decode, encode, type PlacementPlan } from '../../../../proto/messages.ts';
import { withRunningSums } from '../model/running-sums.ts';
import { checkPlan, slotsByWorker } from './check-plan.ts';

// One expert takes 3 * 64 * 64 * 2 = 24576 bytes, the rest of a layer about as much: workers of 100 KB to 2 MB range from
// too small for anything to roomy.
const shapes: fc.Arbitrary<MoeShape> = fc.record({
  layers: fc.integer({ min: 1, max: 5 }),
  hidden: fc.constant(64),
  vocab: fc.constant(100),
  heads: fc.constant(4),
  kvHeads: fc.constantFrom(1, 2, 4),
  headDim: fc.constant(16),
  experts: fc.constantFrom(0, 2, 5, 8, 16),
  topK: fc.constant(2),
  intermediate: fc.constant(64),
  sharedIntermediate: fc.constantFrom(0, 64),
  qkNorm: fc.constantFrom('QK_NORM_UNSPECIFIED', 'QK_NORM_PER_HEAD', 'QK_NORM_FULL_WIDTH'),
});

const workerLists = fc
  .array(
    fc.record({
      node: fc.constantFrom('a', 'b', 'c'),
      roles: fc.constantFrom(['stage'], ['expert'], ['stage', 'expert']),
      memoryBytes: fc.constantFrom(100_000, 400_000, 1_000_000, 2_000_000),
      cores: fc.constantFrom(1, 4),
    }),
    { minLength: 1, maxLength: 9 },
  )
  .map((workers) => workers.map((worker, i): PlannerWorker => ({ ...worker, ...named(i) })));

const sizes = fc.constantFrom(null, null, 1, 2);

const constraintSets = fc.record({
  layout: fc.record({
    tensorParallelSize: sizes,
    pipelineParallelSize: sizes,
    expertTensorParallelSize: sizes,
    pipelines: fc.constantFrom(1, 1, 2),
  }),
  defaultReplicas: fc.integer({ min: 1, max: 3 }),
  overrides: fc.constant([]),
  redundancy: fc.constantFrom(0, 0.25),
  draining: fc.constantFrom([], [], ['w01']),
  cordoned: fc.constant([]),
  kvBlocks: fc.constantFrom(0, 8),
  blockSize: fc.constant(16),
  stateSlots: fc.constantFrom(0, 5),
});

const inputs: fc.Arbitrary<PlanInput> = fc
  .record({
    shape: shapes,
    states: fc.subarray([0, 1, 3]),
    workers: workerLists,
    constraints: constraintSets,
    loads: fc.option(fc.array(fc.nat(50), { minLength: 80, maxLength: 80 })),
    weights: fc.constantFrom('f32' as const, 'bf16' as const, 'q8' as const),
  })
  .map(({ shape, states, workers, constraints, loads, weights }) => ({
    spec: withRunningSums(moeSpec(shape), states),
    weights,
    workers,
    load:
      loads === null || shape.experts === 0
        ? null
        : Array.from({ length: shape.layers }, (_, layer) => ({
            layer,
            expertRows: loads.slice(layer * shape.experts, (layer + 1) * shape.experts),
          })),
    constraints,
    constraintsRevision: 0,
    term: 1,
    previous: null,
    reason: 'test',
  }));

function named(i: number) {
  const id = `w${String(i).padStart(2, '0')}`;
  return { id, address: `${id}:1`, device: 'cpu' };
}

/** The plan of an input that has one. */
function planned(input: PlanInput): PlacementPlan {
  const result = plan(input);
  if (result.kind !== 'planned') throw new Error(`no plan: ${result.problems.join('; ')}`);
  return result.plan;
}

test('a plan fits into memory, covers all layers and experts, and keeps replicas on distinct workers', () => {
  let feasible = 0;
  fc.assert(
    fc.property(inputs, (input) => {
      const result = plan(input);
      if (result.kind === 'infeasible') {
        expect(result.problems.length).toBeGreaterThanOrEqual(0);
        return;
      }
      feasible += 1;
      checkPlan(result.plan, input);
    }),
    { numRuns: 1500, seed: 21 },
  );
  expect(feasible, 'the generator makes enough feasible inputs').toBeGreaterThan(300);
});

test('planning again from its own result changes nothing, through the wire and in any order of workers', () => {
  fc.assert(
    fc.property(inputs, (input) => {
      const first = plan(input);
      if (first.kind === 'infeasible') return;
      const again = plan({ ...input, previous: first.plan, reason: 'again', term: 2 });
      expect(again.kind === 'planned' && again.plan).toBe(first.plan);
      expect(again.kind === 'planned' && again.shortfalls).toEqual(first.shortfalls);
      const decoded: PlacementPlan = decode(conclave.PlacementPlan, encode(conclave.PlacementPlan, first.plan));
      const shuffled = plan({ ...input, workers: [...input.workers].reverse(), previous: decoded });
      expect(shuffled.kind === 'planned' && shuffled.plan).toBe(decoded);
    }),
    { numRuns: 1500, seed: 22 },
  );
});

test('a plan made after workers, load or constraints changed is as valid, and a fixed point again', () => {
  fc.assert(
    fc.property(inputs, inputs, (before, after) => {
      const old = plan(before);
      if (old.kind === 'infeasible') return;
      const input = { ...after, spec: before.spec, load: before.load, weights: before.weights, previous: old.plan };
      const next = plan(input);
      if (next.kind === 'infeasible') {
        // What was there before never makes the difference between a plan and none.
        expect(plan({ ...input, previous: null }).kind).toBe('infeasible');
        return;
      }
      checkPlan(next.plan, input);
      const again = plan({ ...input, previous: next.plan });
      expect(again.kind === 'planned' && again.plan).toBe(next.plan);
    }),
    { numRuns: 1500, seed: 23 },
  );
});

// Clusters of like workers with room to spare: what moves then is a matter of balance alone.
const roomy = fc.record({
  workers: fc.integer({ min: 3, max: 12 }),
  experts: fc.constantFrom(8, 16, 32),
  layers: fc.integer({ min: 1, max: 4 }),
  replicas: fc.integer({ min: 1, max: 2 }),
  nodes: fc.constantFrom(1, 3, 12),
  seed: fc.nat(),
  measured: fc.boolean(),
});

function roomyInput(choice: typeof roomy extends fc.Arbitrary<infer T> ? T : never): PlanInput {
  const shape = {
    layers: choice.layers,
    hidden: 64,
    vocab: 100,
    heads: 4,
    kvHeads: 2,
    headDim: 16,
    experts: choice.experts,
    topK: 2,
    intermediate: 64,
    sharedIntermediate: 0,
    qkNorm: 'QK_NORM_UNSPECIFIED' as const,
  };
  let state = choice.seed % 2147483647 || 1;
  const random = () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  };
  const workers = Array.from({ length: choice.workers }, (_, i) => ({
    ...named(i),
    node: `n${i % choice.nodes}`,
    roles: i === 0 ? ['stage'] : ['expert'],
    memoryBytes: 50_000_000,
    cores: 2,
  }));
  return {
    spec: moeSpec(shape),
    weights: 'bf16',
    workers,
    load: choice.measured
      ? Array.from({ length: shape.layers }, (_, layer) => ({
          layer,
          expertRows: Array.from({ length: shape.experts }, () => 20 + Math.floor(80 * random())),
        }))
      : null,
    constraints: { ...defaultConstraints, defaultReplicas: Math.min(choice.replicas, choice.workers - 2) },
    constraintsRevision: 0,
    term: 1,
    previous: null,
    reason: 'test',
  };
}

test('removing a worker moves its slots and few others', () => {
  let moved = 0;
  let held = 0;
  fc.assert(
    fc.property(roomy, fc.nat(), (choice, pick) => {
      const input = roomyInput(choice);
      const before = planned(input);
      const gone = input.workers[1 + (pick % (choice.workers - 1))]!;
      const workers = input.workers.filter((worker) => worker !== gone);
      const after = planned({ ...input, workers, previous: before });
      const { loads } = diffPlans(before, after);
      const its = slotsByWorker(before).get(gone.id) ?? 0;
      moved += loads;
      held += its;
      expect(loads).toBeGreaterThanOrEqual(its);
      // Beside them, what is left may be uneven: slots come in large pieces and replicas bar workers from taking others, so a
      // layer may ask for a swap or two.
      expect(loads).toBeLessThanOrEqual(1.25 * its + 4 * choice.layers);
    }),
    { numRuns: 1000, seed: 24 },
  );
  expect(moved / held).toBeLessThanOrEqual(1.1);
});

test('adding a worker moves at most about its fair share of the slots, most of it to that worker', () => {
  let moved = 0;
  let taken = 0;
  let fair = 0;
  fc.assert(
    fc.property(roomy, (choice) => {
      const input = roomyInput(choice);
      const workers = input.workers.slice(0, -1);
      const before = planned({ ...input, workers });
      const after = planned({ ...input, previous: before });
      const { loads } = diffPlans(before, after);
      const slots = [...slotsByWorker(after).values()].reduce((sum, count) => sum + count, 0);
      const share = slots / (choice.workers - 1);
      moved += loads;
      taken += slotsByWorker(after).get(input.workers.at(-1)!.id) ?? 0;
      fair += share;
      // Slots come in large pieces: a layer may ask for a swap besides.
      expect(loads).toBeLessThanOrEqual(1.5 * share + 3 * choice.layers);
    }),
    { numRuns: 1000, seed: 25 },
  );
  expect(moved / fair).toBeLessThanOrEqual(1);
  expect(taken / moved).toBeGreaterThanOrEqual(0.9);
  expect(taken / fair).toBeGreaterThanOrEqual(0.75);
});

test('a replica more, or a replica less, is about one slot to load or to unload', () => {
  let replans = 0;
  let moved = 0;
  fc.assert(
    fc.property(roomy, fc.nat(), fc.nat(), (choice, layer, expert) => {
      const input = roomyInput({ ...choice, measured: false });
      const before = planned(input);
      const override = { layer: layer % choice.layers, expert: expert % choice.experts };
      const replicas = input.constraints.defaultReplicas + 1;
      const constraints = { ...input.constraints, overrides: [{ ...override, replicas }] };
      const more = planned({ ...input, constraints, previous: before });
      const less = planned({ ...input, previous: more });
      const [added, removed] = [diffPlans(before, more), diffPlans(more, less)];
      expect(added.loads - added.unloads).toBe(1);
      expect(removed.unloads - removed.loads).toBe(1);
      expect(added.unloads + removed.loads).toBeLessThanOrEqual(2 + choice.layers);
      replans += 2;
      moved += added.unloads + removed.loads;
    }),
    { numRuns: 1000, seed: 26 },
  );
  expect(moved / replans, 'slots moved besides, per plan').toBeLessThanOrEqual(0.15);
});

test('a cordoned worker gets nothing new, whatever is asked and whoever joins or leaves', () => {
  let kept = 0;
  let grown = 0;
  fc.assert(
    fc.property(inputs, fc.integer({ min: 1, max: 3 }), fc.boolean(), (input, defaultReplicas, leaves) => {
      const first = plan(input);
      if (first.kind === 'infeasible') return;
      const constraints = { ...input.constraints, defaultReplicas, cordoned: ['w00'], draining: leaves ? ['w02'] : [] };
      const next = { ...input, constraints, previous: first.plan };
      const second = plan(next);
      if (second.kind === 'infeasible') return;
      checkPlan(second.plan, next);
      const change = diffPlans(first.plan, second.plan).workers.find(({ id }) => id === 'w00');
      expect(change?.load ?? []).toEqual([]);
      expect(change?.ranks?.after ?? []).toEqual([]);
      kept += Number(second.plan.workers.some(({ id }) => id === 'w00'));
      grown += Number(second.plan !== first.plan);
    }),
    { numRuns: 1000, seed: 7 },
  );
  expect(kept, 'cordoned workers that keep something').toBeGreaterThan(100);
  expect(grown, 'plans that change around them').toBeGreaterThan(100);
});

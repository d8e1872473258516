import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { generator, logNormal } from '../../../../bench/planner/loads.ts';
import { moeSpec } from '../../../../bench/planner/moe-spec.ts';
import { diffPlans } from '../../../../controller/planner/diff.ts';
import {
  defaultConstraints,
  type ExpertLoad,
  type PlanConstraints,
  type PlanInput,
} from '../../../../controller/planner/input/input.ts';
import { plan } from '../../../../controller/planner/plan.ts';
import { expectedBalance } from '../../../../controller/planner/slots/balance.ts';
import type { PlacementPlan } from '../../../../proto/messages.ts';
import { checkPlan } from './check-plan.ts';

const layers = 3;
const experts = 16;
const expertBytes = 3 * 64 * 64 * 2;
const everything = { layers: [0, 1, 2], loads: 1_000 };

/** Four workers with experts, and room for `slots` slots on each. */
function inputOf(slots: number, more: Partial<PlanInput> = {}, constraints: Partial<PlanConstraints> = {}): PlanInput {
  const shape = {
    ...{ layers, hidden: 64, vocab: 100, heads: 4, kvHeads: 2, headDim: 16, experts, topK: 2, intermediate: 64 },
    ...{ sharedIntermediate: 0, qkNorm: 'QK_NORM_UNSPECIFIED' as const },
  };
  const worker = { cores: 2, device: 'cpu' };
  const stage = { ...worker, id: 's', address: 's:1', node: 's', roles: ['stage'], memoryBytes: 1e8 };
  const hosts = ['a', 'b', 'c', 'd'].map((id) => ({ ...worker, id, address: `${id}:1`, node: id, roles: ['expert'] }));
  return {
    spec: moeSpec(shape),
    weights: 'bf16',
    workers: [stage, ...hosts.map((host) => ({ ...host, memoryBytes: slots * expertBytes }))],
    load: null,
    constraints: { ...defaultConstraints, redundancy: 0.125, ...constraints },
    constraintsRevision: 0,
    term: 1,
    previous: null,
    reason: 'test',
    ...more,
  };
}

function planned(input: PlanInput): PlacementPlan {
  const result = plan(input);
  if (result.kind !== 'planned') throw new Error(result.problems.join('\n'));
  checkPlan(result.plan, input);
  return result.plan;
}

function loadOf(seed: number, sigma = 0.8): ExpertLoad[] {
  const random = generator(1 + (seed % 2_147_483_646));
  return Array.from({ length: layers }, (_, layer) => ({ layer, expertRows: logNormal(experts, sigma, random) }));
}

function replicas(of: PlacementPlan, layer: number, expert: number): number {
  return of.experts[layer]!.expert.filter((id) => id === expert).length;
}

const balanceOf = (of: PlacementPlan, load: readonly ExpertLoad[]) => expectedBalance(of, load, 4)!.layers;
const seeds = fc.nat();

describe('a plan that follows the load', () => {
  test('is about as even as one that is made for it from nothing', () => {
    let [followed, fresh, before] = [0, 0, 0];
    fc.assert(
      fc.property(seeds, (seed) => {
        const load = loadOf(seed);
        const old = planned(inputOf(40));
        const next = planned(inputOf(40, { load, previous: old, rebalance: everything }));
        followed += balanceOf(next, load);
        fresh += balanceOf(planned(inputOf(40, { load })), load);
        before += balanceOf(old, load);
      }),
      { numRuns: 50, seed: 31 },
    );
    expect(before / 50).toBeGreaterThan(1.3);
    expect(fresh / 50).toBeLessThan(1.06);
    expect(followed / 50).toBeLessThan(1.08);
  });

  test('never loads more than its budget, never makes a layer worse, and leaves other layers alone', () => {
    fc.assert(
      fc.property(seeds, seeds, fc.nat(40), (seed, other, loads) => {
        const previous = planned(inputOf(40, { load: loadOf(seed) }));
        const load = loadOf(other);
        const next = planned(inputOf(40, { load, previous, rebalance: { layers: [0, 2], loads } }));
        const moves = diffPlans(previous, next);
        expect(moves.loads).toBeLessThanOrEqual(loads);
        const touched = moves.workers.flatMap((worker) => [...worker.load, ...worker.unload]);
        expect(touched.filter(({ layer }) => layer === 1)).toEqual([]);
        for (const [layer, placement] of next.experts.entries()) {
          const alone = { ...next, experts: [placement] };
          const was = { ...previous, experts: [previous.experts[layer]!] };
          expect(balanceOf(alone, load)).toBeLessThanOrEqual(balanceOf(was, load) + 1e-4);
        }
      }),
      { numRuns: 100, seed: 32 },
    );
  });

  test('has room for what it loads beside all that is there, and replicas on distinct workers', () => {
    fc.assert(
      fc.property(seeds, seeds, fc.integer({ min: 13, max: 18 }), (seed, other, slots) => {
        const previous = planned(inputOf(slots, { load: loadOf(seed) }));
        const next = planned(inputOf(slots, { load: loadOf(other), previous, rebalance: everything }));
        const held = new Map(previous.workers.map(({ id, weightBytes }) => [id, weightBytes]));
        for (const { id, load } of diffPlans(previous, next).workers) {
          expect((held.get(id) ?? 0) + load.length * expertBytes).toBeLessThanOrEqual(slots * expertBytes);
        }
      }),
      { numRuns: 100, seed: 33 },
    );
  });

  test('changes nothing when it is made again for the same load, or for one that is off by a little', () => {
    let moved = 0;
    fc.assert(
      fc.property(seeds, (seed) => {
        const load = loadOf(seed);
        const previous = planned(inputOf(40, { load, previous: planned(inputOf(40)), rebalance: everything }));
        const again = planned(inputOf(40, { load, previous, rebalance: everything }));
        moved += diffPlans(previous, again).loads;
        const random = generator(1 + (seed % 1_000));
        const noisy = load.map(({ layer, expertRows }) => ({
          ...{ layer, expertRows: expertRows.map((rows) => rows * (0.98 + 0.04 * random())) },
        }));
        moved += diffPlans(previous, planned(inputOf(40, { load: noisy, previous, rebalance: everything }))).loads;
      }),
      { numRuns: 50, seed: 34 },
    );
    expect(moved / 100, 'slots that move, of 54').toBeLessThan(0.5);
  });

  test('stays when a plan is made for another reason', () => {
    const load = loadOf(5);
    const previous = planned(inputOf(40, { load, previous: planned(inputOf(40)), rebalance: everything }));
    expect(planned(inputOf(40, { load, previous }))).toBe(previous);
  });
});

describe('replicas', () => {
  const hot = [{ layer: 1, expertRows: Array.from({ length: experts }, (_, expert) => (expert === 3 ? 60 : 4)) }];
  const first = planned(inputOf(40));

  test('go to the experts that are busy, and back when others are', () => {
    const busy = planned(inputOf(40, { load: hot, previous: first, rebalance: everything }));
    expect(replicas(busy, 1, 3)).toBe(3);
    const cooled = [{ layer: 1, expertRows: Array.from({ length: experts }, (_, e) => (e === 9 ? 60 : 4)) }];
    const later = planned(inputOf(40, { load: cooled, previous: busy, rebalance: everything }));
    expect([replicas(later, 1, 3), replicas(later, 1, 9)]).toEqual([1, 3]);
  });

  test('are never fewer than operators ask for, and just that many where they named the expert', () => {
    const asked = { defaultReplicas: 2, overrides: [{ layer: 1, expert: 3, replicas: 1 }] };
    const before = planned(inputOf(40, {}, asked));
    const after = planned(inputOf(40, { load: hot, previous: before, rebalance: everything }, asked));
    expect(replicas(after, 1, 3)).toBe(1);
    for (const layer of [0, 1, 2]) {
      for (let expert = 0; expert < experts; expert++) {
        if (layer !== 1 || expert !== 3) expect(replicas(after, layer, expert)).toBeGreaterThanOrEqual(2);
      }
    }
  });
});

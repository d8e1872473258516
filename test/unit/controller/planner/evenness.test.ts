import { describe, expect, test } from 'vitest';
import { balanceCases, meanOf, packings, planInputOf } from '../../../../bench/planner/balance-cases.ts';
import { balancedness, eplb } from '../../../../bench/planner/eplb.ts';
import { plan } from '../../../../controller/planner/plan.ts';
import { checkPlan } from './check-plan.ts';

/** What its authors' balancer reaches on these loads, computed elsewhere; log-normal loads depend on the draw. */
const published = [0.757, 0.611, 0.77, 0.995, 0.9995, 0.993, 0.9985, 0.9996, 0.993];

describe.each(balanceCases.map((entry, index) => ({ ...entry, published: published[index]! })))('$name', (entry) => {
  const { load, slots, workers } = entry;
  const baseline = meanOf(load.map(({ expertRows }) => eplb(expertRows, slots, workers)));

  test('the baseline is what its authors have', () => {
    expect(baseline).toBeGreaterThan(entry.published - 0.02);
    expect(baseline).toBeLessThan(entry.published + 0.02);
  });

  test('the plan is at least as even as the baseline, with as many slots', () => {
    const input = planInputOf(entry);
    const result = plan(input);
    if (result.kind === 'infeasible') throw new Error(result.problems.join('\n'));
    checkPlan(result.plan, input);
    const layers = packings(entry, result.plan);
    expect(layers.flat(2).length).toBe(slots * load.length);
    expect(meanOf(layers)).toBeGreaterThanOrEqual(baseline);
  });
});

test.each([
  [256, 288, 144],
  [128, 160, 16],
  [128, 144, 8],
])('experts of just two kinds, %i in %i slots on %i workers', (experts, slots, workers) => {
  const expertRows = Array.from({ length: experts }, (_, expert) => (expert < 4 ? 20 : 1));
  const load = Array.from({ length: 16 }, (_, layer) => ({ layer, expertRows }));
  const entry = { name: '', experts, slots, workers, load };
  const result = plan(planInputOf(entry));
  if (result.kind === 'infeasible') throw new Error(result.problems.join('\n'));
  expect(meanOf(packings(entry, result.plan))).toBeGreaterThanOrEqual(balancedness(eplb(expertRows, slots, workers)));
});

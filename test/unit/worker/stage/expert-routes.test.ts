import { describe, expect, it } from 'vitest';
import type { ModelSpec, PlacementPlan } from '../../../../proto/messages.ts';
import { expertRoutes, type Holder } from '../../../../worker/plan/expert-routes.ts';

// Only what routes are made from: one layer of two experts, and how many slices plans cut each into.
const spec = {
  layers: [{ blocks: [{ operators: [{ kind: 'moe', moe: { experts: { count: 2 } } }] }] }],
} as unknown as ModelSpec;
const cut = (slices: number) => ({ experts: [{ layer: 0, slices }] }) as unknown as PlacementPlan;

function holder(target: number, slices: number, sliceIds: readonly number[], spare: readonly number[] = []): Holder {
  return { target, held: [{ layer: 0, slices, sliceIds }], spare: [{ layer: 0, slices, sliceIds: spare }] };
}

function targetsOf(holders: readonly Holder[], target = 1, committed: number | null = 1) {
  const before = committed === null ? null : cut(committed);
  const { routes, usesSpares } = expertRoutes(spec, { first: 0, end: 1 }, cut(target), before, holders);
  return { slices: routes[0]?.slices, targets: routes[0]?.targets, usesSpares };
}

describe('routes to experts', () => {
  it('lead to every worker that holds a slice and is meant to', () => {
    const holders = [holder(0, 1, [0]), holder(1, 1, [0, 1]), holder(2, 1, [1], [0])];
    expect(targetsOf(holders)).toEqual({
      slices: 1,
      targets: [
        [0, 1],
        [1, 2],
      ],
      usesSpares: false,
    });
  });

  it('lead to a former holder while nobody else is known to hold the slice, and say so', () => {
    const holders = [holder(1, 1, [1], [0]), holder(2, 1, [], [1])];
    expect(targetsOf(holders)).toEqual({ slices: 1, targets: [[1], [1]], usesSpares: true });
  });

  it('are empty for a slice that nobody holds', () => {
    expect(targetsOf([holder(1, 1, [0])])).toEqual({ slices: 1, targets: [[1], []], usesSpares: false });
  });

  it('change the number of slices of a layer once all of them have a holder', () => {
    const whole = holder(1, 1, [0, 1]);
    expect(targetsOf([whole, holder(2, 2, [0, 1, 2])], 2, 1)).toMatchObject({ slices: 1, targets: [[1], [1]] });
    expect(targetsOf([whole, holder(2, 2, [0, 1, 2, 3])], 2, 1)).toMatchObject({
      slices: 2,
      targets: [[2], [2], [2], [2]],
    });
  });
});

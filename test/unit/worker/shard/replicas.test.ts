import { describe, expect, it } from 'vitest';
import {
  expertRoute,
  type LayerReplicas,
  NO_TARGET,
  pickReplica,
  type TargetHealth,
} from '../../../../worker/shard/replicas.ts';

const replicas: LayerReplicas = { layer: 0, slices: 1, targets: [[1, 2], [2, 3], [3], []] };
const health = (down: readonly number[], shares: Readonly<Record<number, number>> = {}): TargetHealth => ({
  usable: (target) => !down.includes(target),
  share: (target) => shares[target] ?? 1,
});

describe('expertRoute', () => {
  it('lists the usable replicas of each slice', () => {
    const route = expertRoute(replicas, health([2], { 3: 0.5 }));
    expect([...route.offsets]).toEqual([0, 1, 2, 3, 3]);
    expect([...route.targets]).toEqual([1, 3, 3]);
    expect([...route.shares]).toEqual([1, 0.5, 0.5]);
  });
});

describe('pickReplica', () => {
  it.each([
    { slice: 0, excluded: [], down: [], shares: { 1: 1, 2: 4 }, expected: 2 },
    { slice: 0, excluded: [2], down: [], shares: { 1: 1, 2: 4 }, expected: 1 },
    { slice: 0, excluded: [2], down: [1], shares: {}, expected: NO_TARGET },
    { slice: 1, excluded: [], down: [], shares: {}, expected: 2 },
    { slice: 3, excluded: [], down: [], shares: {}, expected: NO_TARGET },
    { slice: 99, excluded: [], down: [], shares: {}, expected: NO_TARGET },
  ])(
    'picks $expected for slice $slice without $excluded, $down down',
    ({ slice, excluded, down, shares, expected }) => {
      expect(pickReplica(replicas, slice, new Set(excluded), health(down, shares))).toBe(expected);
    },
  );
});

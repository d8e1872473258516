import { beforeEach, describe, expect, it } from 'vitest';
import { MoveBudget } from '../../../../../controller/cluster/load/move-budget.ts';
import { overloadedLayers } from '../../../../../controller/cluster/load/overloaded-layers.ts';
import { RebalanceTrigger, slotsPerMinute } from '../../../../../controller/cluster/load/rebalance-trigger.ts';
import { measure, measured, plan } from './load-plan.ts';

const clock = { now: 0 };
const now = () => clock.now;
const even = [1000, 1000, 1000, 1000];
const skewed = [4000, 1000, 1000, 1000];

beforeEach(() => {
  clock.now = 0;
});

/** What the trigger says second by second. */
function looks(trigger: RebalanceTrigger, seconds: number) {
  return Array.from({ length: seconds }, () => {
    clock.now += 1_000;
    return trigger.look(plan);
  });
}

describe('overloaded layers', () => {
  it('are those whose busiest worker has clearly more than its share', () => {
    expect(overloadedLayers(plan, measured(even, skewed))).toEqual([{ layer: 1, imbalance: 4000 / 1750 }]);
  });

  it('are none where a few rows fell as chance has it', () => {
    expect(overloadedLayers(plan, measured([4, 1, 2, 1]))).toEqual([]);
    expect(overloadedLayers(plan, measured([4000, 1000, 2000, 1000]))).toHaveLength(1);
    expect(overloadedLayers(plan, measured([0, 0, 0, 0]))).toEqual([]);
  });

  it('are none for what lies within a few hundredths, however many rows there are', () => {
    expect(overloadedLayers(plan, measured([1_040_000, 1_000_000, 1_000_000, 1_000_000]))).toEqual([]);
  });
});

describe('RebalanceTrigger', () => {
  it('asks for a plan when a layer has been out of balance for four seconds', () => {
    const trigger = new RebalanceTrigger({ mode: 'auto', load: measured(even, skewed), now });
    const said = looks(trigger, 6);
    expect(said.slice(0, 4)).toEqual([null, null, null, null]);
    expect(said[4]).toEqual({ layers: [1], loads: 64 });
  });

  it('starts counting again when the layer was even in between', () => {
    const load = measured(even, skewed);
    const trigger = new RebalanceTrigger({ mode: 'auto', load, now });
    looks(trigger, 3);
    for (let i = 0; i < 200; i++) measure(load, even, even);
    looks(trigger, 1);
    for (let i = 0; i < 200; i++) measure(load, even, skewed);
    expect(looks(trigger, 4)).toEqual([null, null, null, null]);
    expect(looks(trigger, 1)[0]).not.toBeNull();
  });

  it('says nothing when it is off', () => {
    const trigger = new RebalanceTrigger({ mode: 'off', load: measured(even, skewed), now });
    expect(looks(trigger, 60).every((budget) => budget === null)).toBe(true);
  });

  it('pauses after a plan, and never lets more slots be loaded in a minute than it allows', () => {
    const trigger = new RebalanceTrigger({ mode: 'auto', load: measured(skewed, skewed), now });
    const loaded: { readonly at: number; readonly loads: number }[] = [];
    for (let second = 0; second < 600; second++) {
      const [budget] = looks(trigger, 1);
      if (!budget) continue;
      const last = loaded.at(-1);
      if (last !== undefined) expect(clock.now - last.at).toBeGreaterThanOrEqual(5_000);
      loaded.push({ at: clock.now, loads: budget.loads });
      trigger.planned(budget.loads);
    }
    const perMinute = slotsPerMinute(plan);
    const all = loaded.reduce((sum, { loads }) => sum + loads, 0);
    expect(all).toBeGreaterThan(8 * perMinute);
    // A minute's worth may be spent at once, besides what comes in meanwhile.
    for (const { at } of loaded) {
      const window = loaded.filter((each) => each.at >= at && each.at < at + 60_000);
      expect(window.reduce((sum, { loads }) => sum + loads, 0)).toBeLessThanOrEqual(2 * perMinute);
    }
    expect(all).toBeLessThanOrEqual(11 * perMinute);
  });

  it('asks again after a pause when there was nothing to gain', () => {
    const trigger = new RebalanceTrigger({ mode: 'auto', load: measured(even, skewed), now });
    looks(trigger, 5);
    trigger.planned(0);
    const said = looks(trigger, 6);
    expect(said.slice(0, 4)).toEqual([null, null, null, null]);
    expect(said[4]).toEqual({ layers: [1], loads: 64 });
  });
});

describe('MoveBudget', () => {
  it('gives back in a minute what it allows in one', () => {
    const budget = new MoveBudget(now);
    expect(budget.left(60)).toBe(60);
    budget.spend(60);
    expect(budget.left(60)).toBe(0);
    clock.now += 30_000;
    expect(budget.left(60)).toBe(30);
    clock.now += 3_600_000;
    expect(budget.left(60)).toBe(60);
  });
});

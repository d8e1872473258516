import { describe, expect, it } from 'vitest';
import { conclave, decode, encode, type PlacementPlan } from '../../../../proto/messages.ts';
import { Holders } from '../../../../worker/plan/holders.ts';

/** A plan that puts experts of layer 0 on worker "a". */
function planOf(...expert: readonly number[]): PlacementPlan {
  const zeros = expert.map(() => 0);
  const experts = [{ layer: 0, slices: 1, expert: [...expert], slice: zeros, worker: zeros }];
  return decode(conclave.PlacementPlan, encode(conclave.PlacementPlan, { workers: [{ id: 'a' }], experts }));
}

const heldOf = (...sliceIds: readonly number[]) => [{ layer: 0, slices: 1, sliceIds }];

describe('Holders', () => {
  it('divides what a worker holds into what either plan wants there and the rest', () => {
    const claims = [
      { target: 4, workerId: 'a', held: heldOf(0, 1, 2, 3) },
      { target: 5, workerId: 'b', held: heldOf(1) },
    ];
    expect(new Holders().of([planOf(1), planOf(1, 2)], claims)).toEqual([
      { target: 4, held: heldOf(1, 2), spare: heldOf(0, 3) },
      { target: 5, held: heldOf(), spare: heldOf(1) },
    ]);
  });

  it('are the same object until a plan, a claim, a target number or the set of workers changes', () => {
    const holders = new Holders();
    const plan = planOf(1);
    const a = { target: 1, workerId: 'a', held: heldOf(1) };
    const b = { target: 2, workerId: 'b', held: heldOf(1) };
    const first = holders.of([plan], [a, b]);
    expect(holders.of([plan], [{ ...a }, { ...b }])).toBe(first);
    const changes = [
      () => holders.of([planOf(2)], [a, b]),
      () => holders.of([plan], [{ ...a, held: heldOf(1, 2) }, b]),
      () => holders.of([plan], [{ ...a, target: 3 }, b]),
      () => holders.of([plan], [a]),
    ];
    for (const change of changes) expect(change()).not.toBe(holders.of([plan], [a, b]));
  });
});

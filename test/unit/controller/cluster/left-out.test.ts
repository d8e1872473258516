import { expect, it } from 'vitest';
import {
  leftOutText,
  mayKeep,
  restrictions,
  retryAfterMs,
  stillLeftOut,
  withFailure,
} from '../../../../controller/cluster/leader/left-out.ts';
import { conclave, decode, encode, type PlacementPlan } from '../../../../proto/messages.ts';

const minute = 60_000;
const failed = { workerId: 'b', startedAtMs: 1, reason: 'bad disk', keeps: false };

function members(...workers: (readonly [id: string, startedAtMs: number])[]) {
  return new Map(
    workers.map(([id, startedAtMs]) => [
      id,
      decode(conclave.WorkerAnnouncement, encode(conclave.WorkerAnnouncement, { id, startedAtMs })),
    ]),
  );
}

/** A plan in which worker b holds these experts of layer 0. */
function planOf(...experts: number[]): PlacementPlan {
  const placement = { layer: 0, slices: 1, expert: experts, slice: experts.map(() => 0), worker: experts.map(() => 0) };
  return decode(
    conclave.PlacementPlan,
    encode(conclave.PlacementPlan, { workers: [{ id: 'b' }], experts: [placement] }),
  );
}

it.each([
  [1, minute / 2],
  [2, minute],
  [5, 8 * minute],
  [6, 15 * minute],
  [1_000, 15 * minute],
])('a worker that failed %d times is tried again after %d ms', (failures, expected) => {
  expect(retryAfterMs(failures)).toBe(expected);
});

it('counts the failures of one process', () => {
  const twice = withFailure(withFailure([], failed, 0), { ...failed, reason: 'still bad' }, 100);
  expect(twice).toEqual([{ ...failed, reason: 'still bad', failures: 2, retryAtMs: 100 + minute, retrying: false }]);
  expect(withFailure(twice, { ...failed, startedAtMs: 2 }, 0)).toMatchObject([{ startedAtMs: 2, failures: 1 }]);
});

it('restricts a worker until it is tried again or another process takes its place', () => {
  const list = withFailure(withFailure([], failed, 0), { ...failed, workerId: 'c', keeps: true }, 0);
  const there = members(['b', 1], ['c', 1]);
  expect(restrictions(list, there)).toEqual({ leaving: ['b'], keeping: ['c'] });
  expect(
    restrictions(
      list.map((entry) => ({ ...entry, retrying: true })),
      there,
    ),
  ).toEqual({ leaving: [], keeping: [] });
  const again = members(['b', 2], ['c', 1]);
  expect(restrictions(list, again)).toEqual({ leaving: [], keeping: ['c'] });
  expect(stillLeftOut(list, again).map(({ workerId }) => workerId)).toEqual(['c']);
  // One that is away may be the same process when its heartbeats come again.
  expect(stillLeftOut(list, members()).map(({ workerId }) => workerId)).toEqual(['b', 'c']);
});

it('lets a worker keep what it has when it failed at more than that', () => {
  expect(mayKeep(planOf(0), planOf(0, 1), 'b')).toBe(true);
  expect(mayKeep(planOf(0, 1), planOf(0, 1), 'b')).toBe(false);
  expect(mayKeep(planOf(0, 1), planOf(0), 'b')).toBe(false);
  expect(mayKeep({ ...planOf(), workers: [] }, planOf(0), 'b')).toBe(false);
});

it('is reported with what it gets, until when, and why', () => {
  const [entry] = withFailure([], failed, 0);
  expect(leftOutText(entry!)).toBe('b gets nothing until it is restarted, or tried again in 30 s: bad disk');
  expect(leftOutText({ ...entry!, keeps: true })).toMatch(/^b keeps what it has and gets nothing new until/);
});

import { describe, expect, it } from 'vitest';
import { noPlanReasons } from '../../../../controller/cluster/control/status.ts';
import { type WorkerCondition, workerState } from '../../../../controller/cluster/control/worker-status.ts';
import type { LeftOutWorker } from '../../../../proto/generated/conclave/v1/LeftOutWorker.ts';
import type { PlanningState } from '../../../../proto/generated/conclave/v1/PlanningState.ts';
import { conclave, decode, encode } from '../../../../proto/messages.ts';

const worker = decode(conclave.WorkerAnnouncement, encode(conclave.WorkerAnnouncement, { id: 'w' }));
const leftOut = (keeps: boolean) =>
  decode(conclave.LeftOutWorker, encode(conclave.LeftOutWorker, { workerId: 'w', keeps } satisfies LeftOutWorker));
const ready: WorkerCondition = {
  report: { state: 'WORKER_STATE_READY' },
  leftOut: undefined,
  leaves: false,
  holds: true,
};

describe('the state of a worker', () => {
  it.each([
    ['READY', 'as it says itself', ready],
    ['IDLE', 'before its process has reported', { ...ready, report: null, holds: false }],
    ['DRAINING', 'while something is still on a worker that leaves', { ...ready, leaves: true }],
    ['DRAINED', 'once nothing is', { ...ready, leaves: true, holds: false }],
    ['FAILED', 'when plans leave it out', { ...ready, leftOut: leftOut(false) }],
    ['FAILED', 'when it was to get its first slots', { ...ready, leftOut: leftOut(true), holds: false }],
    ['READY', 'when it keeps what it has, and that answers', { ...ready, leftOut: leftOut(true) }],
  ] as const)('is %s %s', (expected, _, condition) => {
    expect(workerState(condition)).toBe(`WORKER_STATE_${expected}`);
  });
});

describe('why there is no plan', () => {
  const planningOf = (state: PlanningState) => decode(conclave.PlanningState, encode(conclave.PlanningState, state));
  const roster = (standing: 'reached' | 'unreachable') => ({
    get: () => ({
      worker,
      standing,
      reason: 'no answer',
      sinceMs: 0,
      answers: standing === 'reached',
      departed: false,
    }),
  });
  const workers = (count: number) => new Map(Array.from({ length: count }, (_, i) => [`w${i}`, worker]));
  it.each([
    ['too few workers', 1, null, ['1 of 3 workers: waiting for 2 more']],
    ['nobody yet', 0, null, ['0 of 3 workers: waiting for 3 more']],
    ['enough workers, a moment ago', 3, null, ['3 of 3 workers: the first plan is being made']],
    [
      'what the planner misses, and who failed',
      3,
      planningOf({ problems: ['no stage'], leftOut: [{ workerId: 'w1', reason: 'worker w1: bad disk' }] }),
      ['no stage', 'left out: worker w1: bad disk'],
    ],
  ])('%s', (_, count, planning, expected) => {
    expect(noPlanReasons({ target: null, workers: workers(count), planning }, roster('reached'), 3)).toEqual(expected);
  });

  it('a worker that is not reached counts for nothing, and is named', () => {
    expect(noPlanReasons({ target: null, workers: workers(1), planning: null }, roster('unreachable'), 1)).toEqual([
      '0 of 1 workers: waiting for 1 more',
      'w is not reached: no answer',
    ]);
  });
});

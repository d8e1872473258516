import { describe, expect, it } from 'vitest';
import { noPlanReasons } from '../../../controller/cluster/status.ts';
import { type WorkerCondition, workerState } from '../../../controller/cluster/worker-status.ts';
import type { LeftOutWorker } from '../../../proto/generated/conclave/v1/LeftOutWorker.ts';
import type { PlanningState } from '../../../proto/generated/conclave/v1/PlanningState.ts';
import { conclave, decode, encode } from '../../../proto/messages.ts';

const worker = decode(conclave.WorkerAnnouncement, encode(conclave.WorkerAnnouncement, { id: 'w' }));
const leftOut = (keeps: boolean) =>
  decode(conclave.LeftOutWorker, encode(conclave.LeftOutWorker, { workerId: 'w', keeps } satisfies LeftOutWorker));
const ready: WorkerCondition = {
  worker,
  report: { state: 'WORKER_STATE_READY' },
  leftOut: undefined,
  leaves: false,
  holds: true,
};

describe('the state of a worker', () => {
  it.each([
    ['READY', 'as it says itself', ready],
    ['IDLE', 'before its process has reported', { ...ready, report: null, holds: false }],
    ['LOST', 'when it is not there, whatever was asked of it', { ...ready, worker: undefined, leaves: true }],
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
    expect(noPlanReasons({ target: null, workers: workers(count), planning }, 3)).toEqual(expected);
  });
});

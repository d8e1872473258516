import { describe, expect, it } from 'vitest';
import { rollbackPlan, rolloutStep } from '../../../../controller/cluster/leader/rollout.ts';
import type { WorkerReport, WorkerReport__Output } from '../../../../proto/generated/conclave/v1/WorkerReport.ts';
import { conclave, decode, encode, type PlacementPlan } from '../../../../proto/messages.ts';

function planOf(epoch: number, workers: readonly string[]): PlacementPlan {
  return decode(
    conclave.PlacementPlan,
    encode(conclave.PlacementPlan, { epoch, workers: workers.map((id) => ({ id })) }),
  );
}

function reportsOf(reports: readonly WorkerReport[]): ReadonlyMap<string, WorkerReport__Output> {
  const decoded = reports.map((report) => decode(conclave.WorkerReport, encode(conclave.WorkerReport, report)));
  return new Map(decoded.map((report) => [report.id, report]));
}

const committed = planOf(3, ['a']);
const target = planOf(4, ['a', 'b']);
const ready = (id: string, epoch = 4): WorkerReport => ({
  id,
  epoch,
  state: 'WORKER_STATE_READY',
  loadedBytes: 5,
  totalBytes: 5,
});
const loading = (id: string): WorkerReport => ({
  id,
  epoch: 4,
  state: 'WORKER_STATE_LOADING',
  loadedBytes: 2,
  totalBytes: 8,
});

describe('rolloutStep', () => {
  it.each([
    {
      name: 'nothing is reported',
      reports: [],
      expected: { kind: 'wait', loadedBytes: 0, totalBytes: 0, waitingFor: ['a', 'b'] },
    },
    {
      name: 'a report is about the plan before',
      reports: [ready('a'), ready('b', 3)],
      expected: { kind: 'wait', loadedBytes: 5, totalBytes: 5, waitingFor: ['b'] },
    },
    {
      name: 'a worker still loads',
      reports: [ready('a'), loading('b')],
      expected: { kind: 'wait', loadedBytes: 7, totalBytes: 13, waitingFor: ['b'] },
    },
    { name: 'all are ready', reports: [ready('a'), ready('b')], expected: { kind: 'commit' } },
    {
      name: 'one failed',
      reports: [{ id: 'a', epoch: 4, state: 'WORKER_STATE_FAILED', error: 'bad checksum' } as const, loading('b')],
      expected: { kind: 'fail', workerId: 'a', reason: 'worker a cannot carry out plan 4: bad checksum' },
    },
    {
      name: 'a worker failed at the plan before only',
      reports: [{ id: 'a', epoch: 3, state: 'WORKER_STATE_FAILED', error: 'old' } as const, ready('b')],
      expected: { kind: 'wait', loadedBytes: 5, totalBytes: 5, waitingFor: ['a'] },
    },
  ])('$expected.kind when $name', ({ reports, expected }) => {
    expect(rolloutStep({ target, committed, reports: reportsOf(reports) })).toEqual(expected);
  });

  it('is complete once the target is committed, whatever workers say', () => {
    expect(rolloutStep({ target, committed: target, reports: new Map() })).toEqual({ kind: 'complete' });
  });
});

describe('rollbackPlan', () => {
  it('brings back what was committed under an epoch above the failed one', () => {
    const plan = rollbackPlan(committed, { ...target, term: 9, constraintsRevision: 2 }, 'bad checksum');
    expect(plan).toEqual({
      ...committed,
      epoch: 5,
      term: 9,
      reason: 'rolled back plan 4: bad checksum',
      rollbackCause: 'bad checksum',
    });
  });
});

import { describe, expect, it } from 'vitest';
import {
  forgetMissing,
  listMissing,
  missingEvents,
  writeMissing,
} from '../../../../../controller/cluster/roster/missing.ts';
import type { RosterEntry } from '../../../../../controller/cluster/roster/roster.ts';
import { MemoryBus } from '../../../../../platform/bus/memory-bus.ts';
import { MISSING } from '../../../../../platform/bus/subjects.ts';
import { systemClock } from '../../../../../platform/process/clock.ts';
import { conclave, decode } from '../../../../../proto/messages.ts';
import { announcement } from './announcement.ts';

function entry(id: string, standing: RosterEntry['standing'], more: Partial<RosterEntry> & { session?: number } = {}) {
  const { session = 1, ...rest } = more;
  const reason = standing === 'reached' || standing === 'joining' ? '' : `why ${id}`;
  return {
    ...{ worker: announcement(id, session), standing, reason, sinceMs: 10, answers: standing === 'reached' },
    ...{ departed: false, ...rest },
  };
}

const summary = (list: ReturnType<typeof listMissing>) =>
  list.map(({ workerId, state, sinceMs }) => `${workerId} ${state.replace('WORKER_STATE_', '')} ${sinceMs}`);

describe('the list of missing workers', () => {
  it('names who is lost or unreachable, since when and why', () => {
    const list = listMissing([], [entry('a', 'reached'), entry('b', 'lost'), entry('c', 'unreachable')], 20);
    expect(summary(list)).toEqual(['b LOST 10', 'c UNREACHABLE 10']);
    expect(list[0]).toMatchObject({ address: 'b:9000', node: 'n1', startedAtMs: 1, reason: 'why b' });
  });

  it('keeps since when a leader before this one missed a worker, and what became of one nobody else knows', () => {
    const before = listMissing([], [entry('a', 'lost'), entry('b', 'lost')], 20);
    expect(summary(listMissing(before, [entry('a', 'lost', { sinceMs: 15 })], 20))).toEqual(['a LOST 10', 'b LOST 10']);
    expect(summary(listMissing(before, [entry('a', 'unreachable', { sinceMs: 15 })], 20))).toEqual([
      'b LOST 10',
      'a UNREACHABLE 15',
    ]);
  });

  it('lets a worker off when it answers, or when another process takes its place', () => {
    const before = listMissing([], [entry('a', 'lost'), entry('b', 'lost'), entry('c', 'lost')], 20);
    const now = [entry('a', 'reached'), entry('b', 'joining', { session: 2 }), entry('c', 'joining')];
    expect(summary(listMissing(before, now, 20))).toEqual(['c LOST 10']);
  });

  it('is bounded in number and time', () => {
    const all = Array.from({ length: 100 }, (_, i) => entry(`w${i}`, 'lost', { sinceMs: i + 1, departed: true }));
    const list = listMissing([], all, 200);
    expect([list.length, list[0]?.workerId]).toEqual([64, 'w36']);
    expect(listMissing(list, all, 200)).toEqual(list); // What was dropped does not come back.
    expect(listMissing(list, all, 24 * 3_600_000 + 90)).toHaveLength(10);
  });
});

it('every change is reported once: lost, unreachable, returned', () => {
  const entries = [entry('a', 'lost'), entry('b', 'unreachable')];
  const first = listMissing([], entries, 20);
  const changes = (before: typeof first, now: typeof first, entries: readonly RosterEntry[]) =>
    missingEvents(before, now, (id) => entries.find(({ worker }) => worker.id === id)).map(
      ({ code, severity, message }) => `${severity} ${code}: ${message}`,
    );
  expect(changes([], first, entries)).toEqual([
    'error WORKER_LOST: a at a:9000 on n1 is lost: why a',
    'warning WORKER_UNREACHABLE: b at b:9000 on n1 is not reached and gets nothing: why b',
  ]);
  expect(changes(first, first, entries)).toEqual([]);
  const back = [entry('a', 'reached'), entry('b', 'reached', { session: 2 })];
  // Another process has joined, and is reported as such.
  expect(changes(first, listMissing(first, back, 20), back)).toEqual([
    'info WORKER_RETURNED: a at a:9000 on n1 answers again',
  ]);
});

it('is written by compare-and-set, and forgotten by name', async () => {
  const bus = new MemoryBus({ clock: systemClock, onError: (error) => expect.fail(error) });
  const bucket = await bus.bucket('control');
  const list = listMissing([], [entry('a', 'lost'), entry('b', 'lost')], 20);
  expect(await writeMissing(bucket, list, 0)).toBe(true);
  expect(await writeMissing(bucket, [], 0)).toBe(false);
  expect([await forgetMissing(bucket, 'a'), await forgetMissing(bucket, 'a')]).toEqual([true, false]);
  const stored = await bucket.get(MISSING);
  expect(decode(conclave.MissingWorkers, stored!.value).workers.map(({ workerId }) => workerId)).toEqual(['b']);
  await bus.close();
});

import { expect, test } from 'vitest';
import { memberChanges, memberEvent } from '../../../../controller/cluster/roster/membership.ts';
import type { WorkerAnnouncement__Output as WorkerAnnouncement } from '../../../../proto/generated/conclave/v1/WorkerAnnouncement.ts';

function members(...workers: [id: string, startedAtMs: number, draining?: boolean][]): Map<string, WorkerAnnouncement> {
  return new Map(
    workers.map(([id, startedAtMs, draining = false]) => [
      id,
      {
        id,
        address: `${id}:9000`,
        node: 'n1',
        pid: 1,
        roles: ['expert'],
        memoryBytes: 1,
        cores: 1,
        device: 'cpu',
        gpu: null,
        weightsFormats: [],
        version: '0',
        startedAtMs,
        draining,
      },
    ]),
  );
}

const planned = (id: string): boolean => id === 'planned';

test.each([
  ['nothing new', members(['a', 1]), members(['a', 1]), []],
  ['a heartbeat that says more', members(['a', 1]), members(['a', 1, true]), []],
  ['a worker that joins', members(['a', 1]), members(['b', 1], ['a', 1]), ['joined b']],
  ['a worker that is restarted', members(['a', 1]), members(['a', 2]), ['restarted a']],
  ['a worker that leaves', members(['a', 1, true]), members(), ['left a']],
  ['a worker that leaves while a plan names it', members(['planned', 1, true]), members(), ['gaveUp planned']],
  ['a worker that is gone without a word', members(['a', 1], ['b', 1]), members(['b', 1]), []],
  ['many at once', members(['c', 1], ['b', 1]), members(['a', 1], ['b', 3]), ['joined a', 'restarted b']],
])('%s', (_, before, now, expected) => {
  expect(memberChanges(before, now, planned).map(({ kind, worker }) => `${kind} ${worker.id}`)).toEqual(expected);
});

test('a worker that gave its drain up is not said to have been drained', () => {
  const [event] = memberChanges(members(['planned', 1, true]), members(), planned).map(memberEvent);
  expect(event).toMatchObject({
    ...{ code: 'WORKER_LEFT', severity: 'warning' },
    message: 'planned at planned:9000 on n1 left before everything was moved off it',
  });
});

test('events name the worker, where it was, and how bad it is', () => {
  const events = memberChanges(members(['c', 1]), members(['b', 1], ['c', 2]), planned).map(memberEvent);
  expect(events).toEqual([
    { code: 'WORKER_JOINED', severity: 'info', subject: 'worker/b', message: 'b at b:9000 on n1 joined' },
    {
      code: 'WORKER_RESTARTED',
      severity: 'warning',
      subject: 'worker/c',
      message: 'c at c:9000 on n1 is another process than before',
    },
  ]);
});

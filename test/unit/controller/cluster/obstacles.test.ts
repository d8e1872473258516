import { expect, test } from 'vitest';
import { obstacles } from '../../../../controller/cluster/obstacles.ts';
import type { RosterEntry } from '../../../../controller/cluster/roster/roster.ts';
import type { WorkerReport__Output as WorkerReport } from '../../../../proto/generated/conclave/v1/WorkerReport.ts';
import { conclave, decode, encode } from '../../../../proto/messages.ts';

const plan = decode(
  conclave.PlacementPlan,
  encode(conclave.PlacementPlan, {
    epoch: 3,
    workers: [{ id: 'lead' }, { id: 'rank' }, { id: 'expert' }],
    pipelines: [{ id: 'p0', stages: [{ ranks: [{ worker: 0 }, { worker: 1 }] }] }],
  }),
);

/** The roster of a cluster of which these workers are lost. */
function rosterOf(lost: readonly string[]) {
  return {
    get: (id: string) =>
      (lost.includes(id) ? { standing: 'lost', reason: 'nothing listens there' } : undefined) as
        | RosterEntry
        | undefined,
    takesRequests: (id: string) => !lost.includes(id),
    isGone: (id: string) => lost.includes(id),
  };
}

const loading = { id: 'e', state: 'WORKER_STATE_LOADING' } as WorkerReport;
const lead = 'lead, which leads pipeline p0, is lost: nothing listens there';

test.each([
  ['nothing while a pipeline takes requests', { committed: plan }, ['expert'], true, ['too little memory'], []],
  ['the lead that is lost', { committed: plan }, ['lead'], false, [], [lead]],
  [
    'the rank that is lost',
    { committed: plan },
    ['rank'],
    false,
    [],
    ['rank, which has a part of pipeline p0, is lost: nothing listens there'],
  ],
  [
    'both, and why nothing else can be planned',
    { committed: plan },
    ['lead'],
    false,
    ['0 are free'],
    [lead, '0 are free'],
  ],
  ['that there is no plan', { committed: null, target: null }, [], false, [], ['no plan yet']],
  ['who loads', { committed: null }, [], false, [], ['plan 3 is being rolled out: e are loading']],
])('what keeps requests from being answered: %s', (_, view, lost, routable, problems, expected) => {
  const given = { target: plan, reports: new Map([['e', loading]]), ...view };
  expect(obstacles(given, rosterOf(lost), routable, problems)).toEqual(expected);
});

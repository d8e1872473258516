import { describe, expect, it } from 'vitest';
import { nowPossible, pendingRequests } from '../../../../controller/cluster/leader/pending-requests.ts';
import {
  noConstraints,
  withCordon,
  withDefaultReplicas,
  withDraining,
  withoutCordon,
  withReplicas,
} from '../../../../controller/cluster/requests/constraints.ts';
import { planReason } from '../../../../controller/cluster/requests/plan-reason.ts';
import {
  clusterRequests,
  expertsText,
  requestKey,
  requestStatuses,
} from '../../../../controller/cluster/requests/requests.ts';
import type { PlacementPlan as PlanMessage } from '../../../../proto/generated/conclave/v1/PlacementPlan.ts';
import type { PlanningState } from '../../../../proto/generated/conclave/v1/PlanningState.ts';
import type { WorkerReport } from '../../../../proto/generated/conclave/v1/WorkerReport.ts';
import { conclave, decode, encode, type PlacementPlan } from '../../../../proto/messages.ts';

/** Two layers of two experts. */
const routed = { blocks: [{ operators: [{ moe: { experts: { count: 2 } } }] }] };
const spec = decode(conclave.ModelSpec, encode(conclave.ModelSpec, { layers: [{}, routed, routed] }));

const by = (name: string, replacedRevision: number) => ({ by: name, atMs: 60_000, replacedRevision });

function plan(rest: PlanMessage): PlacementPlan {
  return decode(conclave.PlacementPlan, encode(conclave.PlacementPlan, rest));
}

/** A plan of workers a and b with so many replicas of every expert. */
function planOf(epoch: number, replicas: number, constraintsRevision: number): PlacementPlan {
  const slots = [0, 1].flatMap((logical) => Array.from({ length: replicas }, (_, worker) => ({ logical, worker })));
  const experts = [1, 2].map((layer) => ({
    layer,
    slices: 1,
    expert: slots.map(({ logical }) => logical),
    slice: slots.map(() => 0),
    worker: slots.map(({ worker }) => worker),
  }));
  return plan({ epoch, constraintsRevision, workers: [{ id: 'a' }, { id: 'b' }], experts });
}

function planning(rest: PlanningState = {}) {
  return decode(conclave.PlanningState, encode(conclave.PlanningState, rest));
}

/** Workers that hold every expert of both layers. */
function viewOf(target: PlacementPlan, committed: PlacementPlan, holders: readonly string[]) {
  const report = (id: string): WorkerReport => ({
    id,
    startedAtMs: 1,
    held: [1, 2].map((layer) => ({ layer, slices: 1, sliceIds: [0, 1] })),
  });
  const worker = decode(conclave.WorkerAnnouncement, encode(conclave.WorkerAnnouncement, { startedAtMs: 1 }));
  const reports = holders.map((id) => decode(conclave.WorkerReport, encode(conclave.WorkerReport, report(id))));
  return {
    target,
    committed,
    workers: new Map(holders.map((id) => [id, worker])),
    reports: new Map(reports.map((entry) => [entry.id, entry])),
  };
}

describe('requests', () => {
  it('are what flags say until somebody asks for something', () => {
    expect(clusterRequests(spec, 1, null)).toMatchObject([{ what: '1 replica of every expert', asked: null }]);
  });

  it('name each expert once, whoever asked last', () => {
    const first = withReplicas(
      noConstraints,
      [
        { layer: 1, expert: 0 },
        { layer: 2, expert: 1 },
      ],
      3,
      by('x', 1),
    );
    const both = withReplicas(first, [{ layer: 1, expert: 0 }], 4, by('y', 2));
    expect(clusterRequests(spec, 2, both).map(({ what, asked }) => [what, asked?.by])).toEqual([
      ['2 replicas of every other expert', undefined],
      ['3 replicas of layer 2 expert 1', 'x'],
      ['4 replicas of layer 1 expert 0', 'y'],
    ]);
    expect(clusterRequests(spec, 2, withDefaultReplicas(both, 2, by('z', 3))).map(({ what }) => what)).toEqual([
      '2 replicas of every expert',
    ]);
  });

  it('of workers are taken back together by uncordon', () => {
    const asked = withDraining(withCordon(noConstraints, 'b', by('x', 1)), 'b', by('x', 2));
    expect(
      clusterRequests(spec, 1, asked)
        .map(({ what }) => what)
        .slice(1),
    ).toEqual(['drain b', 'cordon b']);
    expect(clusterRequests(spec, 1, withoutCordon(asked, 'b'))).toHaveLength(1);
  });

  it('name few of many experts', () => {
    const experts = [0, 1].flatMap((layer) => [3, 4, 5].map((id) => ({ layer, expert: id })));
    expect(expertsText(experts)).toBe('6 experts (layer 0: 3, 4, 5; layer 1: 3; and 2 more)');
  });

  const two = withDefaultReplicas(noConstraints, 2, by('ada', 5));
  const [before, after] = [planOf(3, 1, 5), planOf(4, 2, 6)];
  it.each([
    { name: 'in force', view: viewOf(after, after, ['a', 'b']), state: 'IN_FORCE', actual: 2, reason: '' },
    { name: 'on their way', view: viewOf(after, before, ['a']), state: 'ROLLING_OUT', actual: 1, reason: '' },
    {
      name: 'pending after a rollback',
      view: viewOf(before, before, ['a']),
      state: 'PENDING',
      actual: 1,
      reason: 'bad disk',
    },
    {
      name: 'pending where a plan for them gives less',
      view: viewOf(planOf(5, 1, 6), planOf(5, 1, 6), ['a']),
      state: 'PENDING',
      actual: 1,
      reason: 'bad disk',
    },
    {
      name: 'in force, with a worker lost',
      view: viewOf(after, after, ['a']),
      state: 'IN_FORCE',
      actual: 1,
      reason: '',
    },
  ])('are shown beside what there is: $name', ({ view, state, actual, reason }) => {
    const found = planning({ leftOut: [{ workerId: 'b', reason: 'bad disk' }] });
    expect(requestStatuses(clusterRequests(spec, 1, two), view, found)).toMatchObject([
      {
        kind: 'replicas',
        wanted: 2,
        actualLeast: actual,
        actualMost: actual,
        state: `REQUEST_STATE_${state}`,
        reason,
        asked: { by: 'ada' },
      },
    ]);
  });

  it('come into force with an event that says who asked and when, once, if they had to wait', () => {
    const requests = clusterRequests(spec, 1, two);
    const [request] = requests;
    const waiting = pendingRequests({
      requests,
      target: before,
      committed: before,
      planning: planning({ shortfalls: ['too few workers'] }),
    });
    expect(waiting.pending).toEqual([requestKey(request!)]);
    expect(waiting.events).toMatchObject([
      {
        code: 'REQUEST_PENDING',
        message:
          '2 replicas of every expert (asked for by ada at 1970-01-01T00:01:00.000Z) is pending: too few workers',
      },
    ]);
    const known = planning({ pending: [...waiting.pending] });
    const again = pendingRequests({ requests, target: before, committed: before, planning: known });
    expect(again).toEqual({ pending: waiting.pending, events: [] });
    const loading = pendingRequests({ requests, target: after, committed: before, planning: known });
    expect(loading).toEqual({ pending: waiting.pending, events: [] });
    const done = pendingRequests({ requests, target: after, committed: after, planning: known });
    expect(done).toMatchObject({ pending: [], events: [{ code: 'REQUEST_IN_FORCE' }] });
    expect(nowPossible(after, requests, waiting.pending)).toMatch(
      /^; now possible: 2 replicas of every expert \(asked for by ada/,
    );
    expect(nowPossible(before, requests, waiting.pending)).toBe('');
  });
});

describe('the reason of a plan', () => {
  const worker = (id: string, draining = false) =>
    [id, decode(conclave.WorkerAnnouncement, encode(conclave.WorkerAnnouncement, { id, draining }))] as const;
  const target = planOf(3, 2, 5);
  const asked = {
    ...withDefaultReplicas(noConstraints, 3, by('ada', 5)),
    changes: [
      { what: 'cordon b', asked: by('old', 4) },
      { what: 'scale replicas 1 → 3', asked: by('key 1f3870be (ada@ops1)', 5) },
      { what: 'drain b', asked: by('', 6) },
    ],
  };
  const quiet = { seen: new Set(['a', 'b']), failed: [], retried: [] };
  it.each([
    {
      name: 'the first',
      view: { target: null, workers: new Map(), constraints: null },
      occasion: quiet,
      reason: 'first plan',
    },
    {
      name: 'changes since the plan before, and who made them',
      view: { target, workers: new Map([worker('a'), worker('b')]), constraints: { value: asked, revision: 7 } },
      occasion: quiet,
      reason: 'scale replicas 1 → 3 by key 1f3870be (ada@ops1); drain b',
    },
    {
      name: 'what became of workers',
      view: { target, workers: new Map([worker('b', true), worker('c'), worker('d'), worker('e')]), constraints: null },
      occasion: { seen: new Set(['a', 'b', 'e']), failed: ['e'], retried: [] },
      reason: 'worker a lost; worker b shuts down; worker e failed; workers c, d joined',
    },
    {
      name: 'another try',
      view: { target, workers: new Map([worker('a'), worker('b')]), constraints: null },
      occasion: { ...quiet, retried: ['b'] },
      reason: 'worker b is tried again',
    },
  ])('says $name', ({ view, occasion, reason }) => {
    expect(planReason(view, occasion)).toBe(reason);
  });
});

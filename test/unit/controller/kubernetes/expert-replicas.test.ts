import { describe, expect, it } from 'vitest';
import { wantedReplicas } from '../../../../controller/kubernetes/reconcile/expert-replicas.ts';
import { replicasFinding } from '../../../../controller/kubernetes/reconcile/replicas-finding.ts';
import { model, pool } from './fixtures.ts';

type Given = Parameters<typeof pool>[0] | undefined;

function wanted(
  pools: Readonly<Record<string, Given>>,
  {
    applied,
    everyone = 1,
    hottest = [] as { layer: number; expert: number }[],
  }: { applied?: string; everyone?: number; hottest?: { layer: number; expert: number }[] } = {},
) {
  return wantedReplicas({
    model: model(
      { expertReplicas: everyone },
      applied === undefined ? {} : { status: { appliedExpertReplicas: applied } },
    ),
    pools: Object.entries(pools).map(([name, expertReplicas]) => pool({ expertReplicas }, { metadata: { name } })),
    flag: 1,
    expertsOf: (layer) => (layer < 2 ? 8 : 0),
    hottest: (count) => hottest.slice(0, count),
  });
}

describe('replicas of experts', () => {
  it('are not asked for where the controllers start with the same', () => {
    expect(wanted({ a: undefined }).ask).toBeNull();
  });

  it('are those of the model, unless a pool says otherwise', () => {
    expect(wanted({}, { everyone: 2 }).ask).toEqual({ default: 2, overrides: [] });
    expect(wanted({ a: { default: 3 } }, { everyone: 2 }).ask).toEqual({ default: 3, overrides: [] });
  });

  it('are asked for once, so that counts asked for since stand', () => {
    const first = wanted({ a: { default: 3 } });
    expect(wanted({ a: { default: 3 } }, { applied: first.digest }).ask).toBeNull();
    expect(wanted({ a: { default: 4 } }, { applied: first.digest }).ask).toEqual({ default: 4, overrides: [] });
  });

  it('go back to those of the flags when the objects do', () => {
    const { digest } = wanted({ a: { default: 3 } });
    expect(wanted({}, { applied: digest }).ask).toEqual({ default: 1, overrides: [] });
  });

  it('of hot experts are for those with the most load, without the ones that are named', () => {
    const overrides = [{ layer: 0, expert: 3, replicas: 5 }];
    const hottest = [
      { layer: 0, expert: 3 },
      { layer: 1, expert: 7 },
    ];
    expect(wanted({ a: { overrides, hot: { experts: 2, replicas: 4 } } }, { hottest }).ask).toEqual({
      default: 1,
      overrides: [
        { replicas: 5, experts: [{ layer: 0, expert: 3 }] },
        { replicas: 4, experts: [{ layer: 1, expert: 7 }] },
      ],
    });
  });

  it('of hot experts wait until load was measured', () => {
    const waiting = wanted({ a: { hot: { experts: 2, replicas: 4 } } });
    expect(waiting.ask).toBeNull();
    expect(replicasFinding('a', waiting, {})).toMatchObject({ holds: false, reason: 'NotAsked' });
  });

  it.each([
    ['another default', { default: 2 }, { default: 3 }, /default: 3, but ExpertPool a says otherwise/],
    [
      'another count of one expert',
      { overrides: [{ layer: 1, expert: 2, replicas: 2 }] },
      { overrides: [{ layer: 1, expert: 2, replicas: 3 }] },
      /layer 1 expert 2: 3, but ExpertPool a/,
    ],
    [
      'an expert that there is not',
      {},
      { overrides: [{ layer: 1, expert: 8, replicas: 2 }] },
      /experts 0 to 7, got expert 8/,
    ],
    ['a layer without experts', {}, { overrides: [{ layer: 2, expert: 0, replicas: 2 }] }, /layer 2 has no experts/],
  ])('leave out what a second pool says otherwise or in vain: %s', (_, a, b, message) => {
    const { ask, problems } = wanted({ a, b }, { everyone: 2 });
    expect(problems.get('b')).toMatch(message);
    expect(problems.has('a')).toBe(false);
    expect(JSON.stringify(ask)).not.toContain('"replicas":3');
  });
});

describe('what became of them', () => {
  const none = { ask: null, digest: '', problems: new Map(), waiting: null };
  const request = { kind: 'replicas', what: '2 replicas of every expert' };

  it.each([
    [[{ ...request, state: 'REQUEST_STATE_IN_FORCE' }], true, 'InForce'],
    [[{ ...request, state: 'REQUEST_STATE_ROLLING_OUT' }], false, 'RollingOut'],
    [[{ ...request, state: 'REQUEST_STATE_PENDING', reason: 'only 1 worker' }], false, 'Pending'],
    [[{ ...request, state: 'REQUEST_STATE_IN_FORCE', asked: { by: 'key 1f3870be' } }], false, 'ChangedSince'],
    [[{ ...request, state: 'REQUEST_STATE_IN_FORCE', asked: { by: 'operator (ExpertPool/a)' } }], true, 'InForce'],
  ] as const)('%j', (requests, holds, reason) => {
    expect(replicasFinding('a', none, { requests: [...requests], plan: { epoch: 1 } })).toMatchObject({
      holds,
      reason,
    });
    expect(replicasFinding('a', none, { requests: [...requests] })).toMatchObject({
      holds: false,
      reason: 'NoPlanYet',
    });
  });
});

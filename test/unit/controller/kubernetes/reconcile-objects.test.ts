import { describe, expect, it } from 'vitest';
import { setObjects } from '../../../../controller/kubernetes/desired/set-objects.ts';
import { poolSet, stageSet } from '../../../../controller/kubernetes/desired/worker-set.ts';
import type { ModelLoad } from '../../../../controller/kubernetes/reconcile/model-status.ts';
import type { ObservedSet } from '../../../../controller/kubernetes/reconcile/observed.ts';
import type { PoolLoad } from '../../../../controller/kubernetes/reconcile/pool-status.ts';
import { reconcileModel } from '../../../../controller/kubernetes/reconcile/reconcile-model.ts';
import { reconcilePool } from '../../../../controller/kubernetes/reconcile/reconcile-pool.ts';
import type { Step } from '../../../../controller/kubernetes/reconcile/step.ts';
import type { Condition } from '../../../../controller/kubernetes/resources/conditions.ts';
import { BY, type Cluster, controllers, inShort, model, NOW, OPERATOR, pod, pool, workers } from './fixtures.ts';

const poolLoad: PoolLoad = { slots: 8, weightBytes: 1_048_576, imbalance: 1.066, hottest: [], drained: [] };
const modelLoad: ModelLoad = {
  ...{ model: 'clerk', controller: 'controller-0', planEpoch: 7 },
  rollout: { phase: 'Complete', epoch: 7, loadedBytes: 0, totalBytes: 0, error: '' },
  pipelines: { planned: 1, ready: 1 },
  ...{ tokensPerSecond: 12.4, running: 1, waiting: 0, drained: [], obstacles: [] },
};
const replicas = { ask: null, digest: 'd1', problems: new Map<string, string>(), waiting: null };
const nothing: ObservedSet = { statefulSet: null, service: null, budget: null, pods: [] };

function look(pods: readonly ReturnType<typeof pod>[], cluster: Cluster = {}, set = 'experts-expert') {
  return {
    ...{
      controllers,
      operator: OPERATOR,
      busyElsewhere: null,
      by: BY,
      measuredDue: true,
      namespaceLeaves: false,
      now: NOW,
    },
    drained: (cluster.drained ?? []).map((ordinal) => `${set}-${ordinal}`),
    workers: workers(pods, cluster, set),
  };
}

/** A set as it was applied, with ready pods. */
function running(objects: ReturnType<typeof setObjects>, pods: readonly ReturnType<typeof pod>[]): ObservedSet {
  const applied = (object: typeof objects.service) => object.metadata.annotations?.['conclave.dev/applied'] ?? null;
  return {
    statefulSet: {
      ...{ resourceVersion: '42', replicas: pods.length, operator: OPERATOR, surgeSince: null, updateRevision: 'new' },
      applied: applied(objects.statefulSet),
    },
    ...{ service: applied(objects.service), budget: applied(objects.budget), pods },
  };
}

function poolSteps(
  given: ReturnType<typeof pool>,
  {
    of = model(),
    pods = [pod(0), pod(1)],
    cluster = {},
    observed,
    namespaceLeaves = false,
  }: {
    of?: ReturnType<typeof model> | null;
    pods?: readonly ReturnType<typeof pod>[];
    cluster?: Cluster;
    observed?: ObservedSet;
    namespaceLeaves?: boolean;
  } = {},
): readonly Step[] {
  const there = observed ?? (of === null ? nothing : running(setObjects(poolSet(of, given), of, controllers), pods));
  return reconcilePool({
    ...look(pods, cluster),
    namespaceLeaves,
    pool: given,
    model: of,
    observed: there,
    load: poolLoad,
    replicas,
    cluster: { plan: { epoch: 7 } },
  });
}

function statusOf(steps: readonly Step[]): Readonly<Record<string, unknown>> & { conditions: readonly Condition[] } {
  const step = steps.find((one) => one.kind === 'status');
  if (step?.kind !== 'status') throw new Error(`no status among ${inShort(steps).join(', ')}`);
  return step.status;
}

function conditionOf(steps: readonly Step[], type: string): Condition | undefined {
  return statusOf(steps).conditions.find((condition) => condition.type === type);
}

function events(steps: readonly Step[]): readonly string[] {
  return steps.flatMap((step) => (step.kind === 'event' ? [`${step.event.code}: ${step.event.message}`] : []));
}

describe('an ExpertPool', () => {
  it('gets its finalizer, its objects and a status', () => {
    const fresh = pool({ replicas: 2 }, { metadata: { finalizers: [] } });
    expect(inShort(poolSteps(fresh, { pods: [], observed: nothing }))).toEqual([
      'finalizers conclave.dev/drain',
      'apply Service',
      'apply PodDisruptionBudget',
      'apply StatefulSet 2',
      'status',
    ]);
  });

  it('says what there is', () => {
    const steps = poolSteps(pool({ replicas: 2 }));
    expect(statusOf(steps)).toMatchObject({
      ...{ observedGeneration: 2, replicas: 2, readyReplicas: 2, updatedReplicas: 2, slots: 8, imbalance: '1.07' },
      selector:
        'app.kubernetes.io/name=conclave,app.kubernetes.io/component=worker,conclave.dev/model=clerk,' +
        'conclave.dev/role=expert,conclave.dev/pool=experts',
    });
    expect(conditionOf(steps, 'Ready')).toMatchObject({ status: 'True', observedGeneration: 2 });
  });

  it('writes nothing where nothing new is to be said', () => {
    const status = statusOf(poolSteps(pool({ replicas: 2 })));
    expect(poolSteps(pool({ replicas: 2 }, { status }))).toEqual([]);
  });

  it('says who scaled it, from what to what', () => {
    const managedFields = [
      { manager: 'helm', time: '2026-01-01T00:00:00Z', fieldsV1: { 'f:spec': { 'f:replicas': {}, 'f:model': {} } } },
      { manager: 'kubectl', time: '2026-01-01T00:05:00Z', fieldsV1: { 'f:spec': { 'f:replicas': {} } } },
      { manager: 'other', time: '2026-01-01T00:06:00Z', fieldsV1: { 'f:metadata': {} } },
    ];
    const scaled = pool({ replicas: 4 }, { metadata: { managedFields }, status: { desiredReplicas: 2 } });
    expect(events(poolSteps(scaled))).toContain('POOL_SCALED: replicas 2 → 4 by kubectl');
    const byHpa = managedFields.map((entry) => ({ ...entry, manager: 'kube-controller-manager' }));
    const scaledByHpa = pool({ replicas: 1 }, { metadata: { managedFields: byHpa }, status: { desiredReplicas: 2 } });
    expect(events(poolSteps(scaledByHpa))[0]).toMatch(/2 → 1 by kube-controller-manager, for an autoscaler/);
  });

  it('says once, as an event, what blocks it', () => {
    const cluster = { refused: [1] };
    const steps = poolSteps(pool({ replicas: 1 }), { cluster });
    expect(conditionOf(steps, 'Progressing')).toMatchObject({ status: 'False', reason: 'DrainRefused' });
    expect(events(steps)).toEqual([expect.stringMatching(/^SCALE_IN_BLOCKED: experts-expert-1 cannot be drained/)]);
    const again = poolSteps(pool({ replicas: 1 }, { status: statusOf(steps) }), { cluster });
    expect(events(again)).toEqual([]);
  });

  it('keeps what runs where its spec makes no sense', () => {
    const steps = poolSteps(pool({ replicas: 9, options: { threads: 'many', colour: 'red' } }));
    expect(inShort(steps)).toEqual(['status']);
    expect(conditionOf(steps, 'Accepted')).toMatchObject({
      status: 'False',
      message:
        'spec.options.colour: expected a flag of "conclave worker" or "conclave controller"; ' +
        'spec.options.threads: expected a whole number, got many',
    });
  });

  it('waits for its model', () => {
    const steps = poolSteps(pool({ model: 'clerk' }), { of: null });
    expect(inShort(steps)).toEqual(['status']);
    expect(conditionOf(steps, 'Accepted')).toMatchObject({ reason: 'ModelNotFound' });
  });

  it('of a model that other controllers serve is theirs', () => {
    const other = model({}, { metadata: { name: 'other', namespace: 'moe', uid: 'u2', resourceVersion: '1' } });
    expect(poolSteps(pool({ model: 'other' }), { of: other, observed: nothing })).toEqual([]);
  });

  it('that is deleted is drained, shrinks, and is let go once no pod is left', () => {
    const leaving = { metadata: { deletionTimestamp: '2026-01-01T00:09:00Z' } };
    const short = (options: Parameters<typeof poolSteps>[1]) =>
      inShort(poolSteps(pool({ replicas: 2 }, leaving), options)).filter((step) => step !== 'status');
    expect(short({})).toEqual(['drain experts-expert-1']);
    expect(short({ cluster: { drained: [0, 1], holding: [] } })).toEqual(['apply StatefulSet 0']);
    expect(short({ pods: [], cluster: { drained: [1] } })).toEqual(['undrain experts-expert-1']);
    expect(short({ pods: [] })).toEqual(['finalizers ']);
  });

  it('is let go at once, and not held again, where its whole namespace is deleted', () => {
    const namespaceLeaves = true;
    expect(inShort(poolSteps(pool({ replicas: 2 }), { namespaceLeaves }))).toEqual(['finalizers ']);
    expect(poolSteps(pool({ replicas: 2 }, { metadata: { finalizers: [] } }), { namespaceLeaves })).toEqual([]);
  });

  it('that is deleted after its model is let go at once', () => {
    const leaving = pool({}, { metadata: { deletionTimestamp: '2026-01-01T00:09:00Z' } });
    expect(inShort(poolSteps(leaving, { of: null }))).toEqual(['finalizers ']);
  });
});

describe('a MoEModel', () => {
  const stages = 'clerk-stage';
  const steps = (
    given = model(),
    load: Partial<ModelLoad> = {},
    ask: typeof replicas | object = {},
    known: Partial<typeof controllers> = {},
    measuredDue = true,
  ) => {
    const pods = [pod(0, {}, stages)];
    const observed = running(setObjects(stageSet(given), given, controllers), pods);
    const wanted = { ...replicas, ...ask };
    return reconcileModel({
      ...look(pods, {}, stages),
      ...{ controllers: { ...controllers, ...known }, measuredDue },
      model: given,
      observed,
      load: { ...modelLoad, ...load },
      replicas: wanted,
    });
  };

  it('says what there is', () => {
    expect(statusOf(steps())).toMatchObject({
      ...{ phase: 'Ready', planEpoch: 7, tokensPerSecond: 12, appliedExpertReplicas: 'd1' },
      pipelines: { planned: 1, ready: 1, summary: '1/1' },
      rollout: { progress: '100%' },
      addresses: { http: 'http://conclave.moe.svc:8000' },
    });
  });

  it.each([
    ['Loading', { pipelines: { planned: 0, ready: 0 }, rollout: { ...modelLoad.rollout, phase: 'Loading' } }],
    ['Pending', { pipelines: { planned: 0, ready: 0 }, rollout: { ...modelLoad.rollout, phase: 'None' } }],
    ['Degraded', { pipelines: { planned: 2, ready: 1 } }],
    ['Degraded', { rollout: { ...modelLoad.rollout, phase: 'RolledBack', error: 'checksums differ' } }],
  ] as const)('is %s with %j', (phase, load) => {
    expect(statusOf(steps(model(), load))).toMatchObject({ phase });
  });

  it('asks for replicas of experts before it writes that it has', () => {
    const ask = { default: 2, overrides: [] };
    expect(inShort(steps(model(), {}, { ask }))).toEqual(['replicas {"default":2,"overrides":[]}', 'status']);
  });

  describe('that asks for something else than what controllers run with', () => {
    const pending = ['spec.contextLength: 512, the controllers run with none'];
    const differing = (differences: object, deployment: string | null = 'conclave') => {
      const all = { refused: [], overruled: [], pending: [], ...differences };
      return (given = model(), measuredDue = false) =>
        steps(given, {}, {}, { deployment, differences: () => all }, measuredDue);
    };

    it('has them restarted, once for each version', () => {
      const first = differing({ pending })();
      expect(inShort(first)).toEqual(['restart conclave for 2', 'status']);
      expect(conditionOf(first, 'Served')).toMatchObject({ status: 'False', reason: 'ControllersRestarting' });
      expect(conditionOf(first, 'Served')?.message).toContain(pending[0]);
      const seen = model({}, { status: statusOf(first) });
      expect(differing({ pending })(seen)).toEqual([]);
      expect(inShort(differing({ pending })(seen, true))).toEqual(['restart conclave for 2']);
      const edited = { ...seen, metadata: { ...seen.metadata, generation: 3 } };
      expect(inShort(differing({ pending })(edited))).toEqual(['restart conclave for 3', 'status']);
    });

    it('leaves them to whoever rolls out their Deployment with the model', () => {
      const made = (checksum: string) => {
        const given = model();
        const annotations = { 'conclave.dev/model-checksum': checksum };
        return { ...given, metadata: { ...given.metadata, annotations } };
      };
      expect(inShort(differing({ pending })(made('a1')))).toEqual(['restart conclave for 2', 'status']);
      expect(inShort(differing({ pending })(made('b2')))).toEqual(['status']);
    });

    it.each([
      ['Refused', { refused: ['--max-model-len: expected at most 256'], pending }, 'conclave'],
      [
        'ControllersDiffer',
        { overruled: ['spec.weights: q8, flags of the controllers say "f32"'], pending },
        'conclave',
      ],
      ['ControllersDiffer', { pending }, null],
    ] as const)('says %s, and leaves them, for %j with deployment %s', (reason, differences, deployment) => {
      const given = differing(differences, deployment)();
      expect(inShort(given)).toEqual(['status']);
      expect(conditionOf(given, 'Served')).toMatchObject({ status: 'False', reason });
      expect(conditionOf(given, 'Served')?.message).toContain(Object.values(differences)[0]?.[0]);
    });
  });

  it('that no controller serves says why, once', () => {
    const other = { metadata: { name: 'other', namespace: 'moe', uid: 'u2', resourceVersion: '1', generation: 1 } };
    const first = steps(model({}, other));
    expect(inShort(first)).toEqual(['status']);
    expect(conditionOf(first, 'Served')).toMatchObject({ status: 'False', reason: 'NotServed' });
    expect(conditionOf(first, 'Served')?.message).toContain('serve MoEModel clerk');
    expect(steps(model({}, { ...other, status: statusOf(first) }))).toEqual([]);
  });
});

import type { Controllers } from '../../../../controller/kubernetes/desired/controllers.ts';
import { setObjects } from '../../../../controller/kubernetes/desired/set-objects.ts';
import { poolSet, stageSet } from '../../../../controller/kubernetes/desired/worker-set.ts';
import type {
  ObservedPod,
  ObservedSet,
  ObservedWorkers,
} from '../../../../controller/kubernetes/reconcile/observed.ts';
import type { SetInput } from '../../../../controller/kubernetes/reconcile/reconcile-set.ts';
import type { Step } from '../../../../controller/kubernetes/reconcile/step.ts';
import { expertPoolSchema } from '../../../../controller/kubernetes/resources/expert-pool.ts';
import { moeModelSchema } from '../../../../controller/kubernetes/resources/moe-model.ts';
import { annotations } from '../../../../controller/kubernetes/resources/names.ts';

export const NOW = Date.parse('2026-01-01T00:10:00Z');
export const OPERATOR = 'controller-0/3';
export const BY = 'operator (ExpertPool/experts)';

export const controllers: Controllers = {
  cluster: 'clerk',
  natsUrls: ['nats://nats:4222'],
  model: 'clerk',
  namespace: 'moe',
  deployment: 'conclave',
  modelChecksum: 'a1',
  addresses: { http: 'http://conclave.moe.svc:8000', grpc: 'conclave.moe.svc:8001' },
  options: {
    ofWorkers: new Set(['device', 'overlap-rows', 'threads']),
    ofControllers: new Set(['max-num-seqs']),
    workerProblems: ({ threads = '1' }) =>
      /^\d+$/.test(threads) ? [] : [`threads: expected a whole number, got ${threads}`],
  },
  expertReplicas: 1,
  differences: () => ({ refused: [], overruled: [], pending: [] }),
};

const metadata = { namespace: 'moe', uid: 'u1', resourceVersion: '10', generation: 2 };

export function model(spec: Record<string, unknown> = {}, more: Record<string, unknown> = {}) {
  return moeModelSchema.parse({
    metadata: { ...metadata, name: 'clerk' },
    spec: { workers: { image: 'conclave:1' }, ...spec },
    ...more,
  });
}

export function pool(spec: Record<string, unknown> = {}, more: Record<string, unknown> = {}) {
  const { metadata: given, ...rest } = more;
  return expertPoolSchema.parse({
    metadata: { ...metadata, name: 'experts', finalizers: ['conclave.dev/drain'], ...(given as object) },
    spec: { model: 'clerk', ...spec },
    ...rest,
  });
}

/** A pod that is as the template says and ready, unless said otherwise. */
export function pod(ordinal: number, more: Partial<ObservedPod> = {}, set = 'experts-expert'): ObservedPod {
  const name = `${set}-${ordinal}`;
  return {
    ...{ name, uid: `uid-${ordinal}`, ordinal, revision: 'new', ready: true, terminating: false },
    ...{ unschedulable: false, problem: null, ...more },
  };
}

export interface Cluster {
  /** Ordinals of workers that hold something; default: of all pods. */
  readonly holding?: readonly number[];
  /** Ordinals of workers that are drained, for this set unless said otherwise. */
  readonly drained?: readonly number[];
  readonly drainedBy?: string;
  /** Ordinals whose drain is refused. */
  readonly refused?: readonly number[];
  /** Ordinals that alone hold some expert. */
  readonly only?: readonly number[];
  readonly lost?: readonly number[];
  readonly settled?: boolean;
}

export function workers(pods: readonly ObservedPod[], cluster: Cluster, set = 'experts-expert'): ObservedWorkers {
  const { holding = pods.map(({ ordinal }) => ordinal), drained = [], refused = [], only = [], lost = [] } = cluster;
  const is = (ordinals: readonly number[]) => (worker: string) => ordinals.some((o) => worker === `${set}-${o}`);
  const there = pods.map(({ ordinal }) => ordinal);
  return {
    present: is(there),
    holds: is(holding),
    lost: is(lost),
    drainedBy: (worker) => (is(drained)(worker) ? (cluster.drainedBy ?? BY) : null),
    drainRefusals: (worker) => (is(refused)(worker) ? ['no plan gives 2 replicas of every expert'] : []),
    onlyHolderOf: (worker) => (is(only)(worker) ? 'layer 0 expert 3' : null),
    settled: cluster.settled ?? true,
  };
}

export interface Scene {
  /** spec.replicas of the object. */
  readonly wanted: number;
  /** spec.replicas of the StatefulSet; default: the pods that there are. */
  readonly replicas?: number;
  readonly pods: readonly ObservedPod[];
  readonly cluster?: Cluster;
  /** Milliseconds for which one pod more has been asked for. */
  readonly surgeFor?: number;
  readonly busyElsewhere?: string;
  readonly role?: 'stage' | 'expert';
  /** The StatefulSet was applied from another template, or by another operator. */
  readonly applied?: string;
  readonly operator?: string;
  readonly updateRevision?: string | null;
}

/** A set as it is applied, with pods and workers as said. */
export function setInput(scene: Scene): SetInput {
  const { pods, role = 'expert' } = scene;
  const clerk = model(role === 'stage' ? { stages: { replicas: scene.wanted } } : {});
  const set = role === 'stage' ? stageSet(clerk) : poolSet(clerk, pool({ replicas: scene.wanted }));
  const objects = setObjects(set, clerk, controllers);
  const applied = (object: typeof objects.service) => object.metadata.annotations?.[annotations.applied] ?? null;
  const observed: ObservedSet = {
    statefulSet: {
      resourceVersion: '42',
      replicas: scene.replicas ?? pods.length,
      applied: scene.applied ?? applied(objects.statefulSet),
      operator: scene.operator ?? OPERATOR,
      surgeSince: scene.surgeFor === undefined ? null : NOW - scene.surgeFor,
      updateRevision: scene.updateRevision === undefined ? 'new' : scene.updateRevision,
    },
    service: applied(objects.service),
    budget: applied(objects.budget),
    pods,
  };
  const { drained = [] } = scene.cluster ?? {};
  return {
    ...{ set, objects, observed, by: BY, operator: OPERATOR, now: NOW },
    workers: workers(pods, scene.cluster ?? {}, set.name),
    busyElsewhere: scene.busyElsewhere ?? null,
    drained: scene.cluster?.drainedBy === undefined ? drained.map((ordinal) => `${set.name}-${ordinal}`) : [],
  };
}

/** Steps in short: "drain experts-expert-3", "apply StatefulSet 3". Events are left out. */
export function inShort(steps: readonly Step[]): readonly string[] {
  return steps.flatMap((step): readonly string[] => {
    switch (step.kind) {
      case 'apply': {
        const { kind, spec, metadata: of } = step.object;
        const surge = of.annotations?.[annotations.surge] !== undefined ? ' with one more' : '';
        return [kind === 'StatefulSet' ? `apply ${kind} ${String(spec['replicas'])}${surge}` : `apply ${kind}`];
      }
      case 'drain':
      case 'undrain':
      case 'forget':
        return [`${step.kind} ${step.worker}`];
      case 'deletePod':
        return [`delete ${step.pod} ${step.uid}`];
      case 'finalizers':
        return [`finalizers ${step.finalizers.join(',')}`];
      case 'restart':
        return [`restart ${step.deployment} for ${step.generation}`];
      case 'expertReplicas':
        return [`replicas ${JSON.stringify(step.asked)}`];
      case 'status':
        return ['status'];
      case 'event':
        return [];
    }
  });
}

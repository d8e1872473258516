import type { GetStatusResponse } from '../../../proto/generated/conclave/v1/GetStatusResponse.ts';
import { setObjects } from '../desired/set-objects.ts';
import { setProblems } from '../desired/spec-problems.ts';
import { poolSet } from '../desired/worker-set.ts';
import { conditionsOf } from '../resources/conditions.ts';
import type { ExpertPool } from '../resources/expert-pool.ts';
import { replicasWriter } from '../resources/field-writer.ts';
import type { MoEModel } from '../resources/moe-model.ts';
import { FINALIZER } from '../resources/names.ts';
import type { WantedReplicas } from './expert-replicas.ts';
import { accepted } from './findings.ts';
import type { ObservedSet } from './observed.ts';
import { type PoolLoad, poolStatus } from './pool-status.ts';
import { idle } from './progress.ts';
import type { Look } from './reconcile-model.ts';
import { reconcileSet } from './reconcile-set.ts';
import { replicasFinding } from './replicas-finding.ts';
import { statusSteps } from './status-step.ts';
import type { Step } from './step.ts';

export interface PoolInput extends Look {
  readonly pool: ExpertPool;
  /** Null: there is none of the name. */
  readonly model: MoEModel | null;
  readonly observed: ObservedSet;
  readonly load: PoolLoad;
  readonly replicas: WantedReplicas;
  readonly cluster: Pick<GetStatusResponse, 'requests' | 'plan'>;
}

/** What to do about an ExpertPool. */
export function reconcilePool(input: PoolInput): readonly Step[] {
  const { pool, model, controllers, observed } = input;
  const { metadata, spec } = pool;
  const ours = spec.model === controllers.model;
  const leaves = metadata.deletionTimestamp !== undefined;
  const held = metadata.finalizers.includes(FINALIZER);
  if (leaves && !held) return [];
  // Nobody stays who could take its experts, and the controllers that let it go leave soon.
  if (ours && input.namespaceLeaves) return held ? [withFinalizer(pool, false)] : [];
  // Without its model nobody asks for its experts.
  if (leaves && (model === null || model.metadata.deletionTimestamp !== undefined)) return [withFinalizer(pool, false)];
  if (!ours) return model === null ? notFound(input) : [];
  if (model === null) return notFound(input);

  const set = { ...poolSet(model, pool), ...(leaves ? { replicas: 0 } : {}) };
  const problems = setProblems(set, 'spec', controllers);
  if (problems.length > 0 && !leaves)
    return statusSteps(pool.status, statusOf(input, set, idle, problems), input.measuredDue);
  const { steps, progress } = reconcileSet({ ...input, set, objects: setObjects(set, model, controllers) });
  // A drain that is left would be waiting for the next pool of the name.
  const empty = (observed.statefulSet?.replicas ?? 0) === 0 && observed.pods.length === 0 && input.drained.length === 0;
  return [
    ...(held ? [] : [withFinalizer(pool, true)]),
    ...scaled(pool),
    ...steps,
    ...statusSteps(pool.status, statusOf(input, set, progress, []), input.measuredDue),
    ...(leaves && empty ? [withFinalizer(pool, false)] : []),
  ];
}

function statusOf(
  input: PoolInput,
  { selector }: { readonly selector: Readonly<Record<string, string>> },
  progress: typeof idle,
  problems: readonly string[],
) {
  const replicas = replicasFinding(input.pool.metadata.name, input.replicas, input.cluster);
  return poolStatus({ ...input, progress, problems, selector, replicas });
}

/** The last writer of the count wins, and is named. */
function scaled({ metadata, spec, status }: ExpertPool): readonly Step[] {
  const before = status['desiredReplicas'];
  if (typeof before !== 'number' || before === spec.replicas) return [];
  const writer = replicasWriter(metadata.managedFields) ?? 'somebody whom the API server does not name';
  const autoscaler = writer === 'kube-controller-manager' ? ', for an autoscaler' : '';
  const message = `replicas ${before} → ${spec.replicas} by ${writer}${autoscaler}`;
  return [{ kind: 'event', event: { code: 'POOL_SCALED', warning: false, message } }];
}

function withFinalizer({ metadata }: ExpertPool, present: boolean): Step {
  const others = metadata.finalizers.filter((name) => name !== FINALIZER);
  const finalizers = present ? [...others, FINALIZER] : others;
  return { kind: 'finalizers', finalizers, resourceVersion: metadata.resourceVersion };
}

/** What runs is left alone. */
function notFound({ pool, now, measuredDue }: PoolInput): readonly Step[] {
  const { metadata, spec, status } = pool;
  const { generation } = metadata;
  const finding = {
    ...accepted([`spec.model: there is no MoEModel ${spec.model} in namespace ${metadata.namespace}`]),
    reason: 'ModelNotFound',
  };
  const conditions = conditionsOf([finding], status.conditions, { generation, now });
  return statusSteps(status, { ...status, observedGeneration: generation, conditions }, measuredDue);
}

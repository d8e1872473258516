import type { Controllers } from '../desired/controllers.ts';
import { busyElsewhere } from '../reconcile/busy-elsewhere.ts';
import { type WantedReplicas, wantedReplicas } from '../reconcile/expert-replicas.ts';
import { type Look, reconcileModel } from '../reconcile/reconcile-model.ts';
import { reconcilePool } from '../reconcile/reconcile-pool.ts';
import { OPERATOR } from '../reconcile/replicas-finding.ts';
import type { Step, Subject } from '../reconcile/step.ts';
import type { ExpertPool } from '../resources/expert-pool.ts';
import { ordinalOf, setName } from '../resources/names.ts';
import { type ClusterPicture, type ClusterSight, clusterPicture } from './cluster-picture.ts';
import type { Store } from './store.ts';

/** Everything that decisions are made from. */
export interface DecideContext {
  readonly controllers: Controllers;
  readonly store: Store;
  readonly sight: ClusterSight;
  /** Experts of a layer of the model; 0 where it has none. */
  readonly expertsOf: (layer: number) => number;
  /** Experts with the most load, busiest first. */
  readonly hottest: (count: number) => readonly { readonly layer: number; readonly expert: number }[];
  /** Names the controller that acts, and its term. */
  readonly operator: string;
  readonly measuredDue: boolean;
  readonly namespaceLeaves: boolean;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** What to do about an object, of what the API server and the cluster say now. */
export function decide(subject: Subject, context: DecideContext): readonly Step[] {
  const { store, sight } = context;
  const picture = clusterPicture(sight);
  const set = setNameOf(subject);
  const look = lookAt(subject, picture, context);
  const [observed, replicas] = [store.set(set), replicasOf(context)];
  if (subject.kind === 'MoEModel') {
    const model = store.models.items.get(subject.name);
    return model === undefined ? [] : reconcileModel({ ...look, model, observed, load: picture.model, replicas });
  }
  const pool = store.pools.items.get(subject.name);
  if (pool === undefined) return [];
  const model = store.models.items.get(pool.spec.model) ?? null;
  const load = picture.pool((worker) => ordinalOf(set, worker) !== null);
  return reconcilePool({ ...look, pool, model, observed, load, replicas, cluster: picture.status });
}

/** Who asks for what an object says, in requests and events of the cluster. */
export function byOf({ kind, name }: Subject): string {
  return `${OPERATOR} (${kind}/${name})`;
}

function lookAt(subject: Subject, picture: ClusterPicture, context: DecideContext): Look {
  const { controllers, operator, measuredDue, namespaceLeaves, now } = context;
  const by = byOf(subject);
  return {
    ...{ controllers, operator, by, measuredDue, namespaceLeaves, now },
    ...{ workers: picture.workers, drained: picture.drainedBy(by) },
    busyElsewhere: busyElsewhere(setNameOf(subject), setsInOrder(picture, context)),
  };
}

/** The model's sets: stages first, then pools by name. */
function setsInOrder(picture: ClusterPicture, context: DecideContext) {
  const subjects: readonly Subject[] = [
    { kind: 'MoEModel', name: context.controllers.model },
    ...poolsOf(context).map(({ metadata }): Subject => ({ kind: 'ExpertPool', name: metadata.name })),
  ];
  return subjects.map((subject) => {
    const name = setNameOf(subject);
    return { name, observed: context.store.set(name), draining: picture.drainedBy(byOf(subject)).length > 0 };
  });
}

function poolsOf({ store, controllers }: DecideContext): readonly ExpertPool[] {
  return [...store.pools.items.values()]
    .filter(({ spec, metadata }) => spec.model === controllers.model && metadata.deletionTimestamp === undefined)
    .sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
}

function replicasOf(context: DecideContext): WantedReplicas {
  const { controllers, store, expertsOf, hottest } = context;
  const model = store.models.items.get(controllers.model);
  if (model === undefined) return { ask: null, digest: '', problems: new Map(), waiting: null };
  return wantedReplicas({
    model,
    pools: poolsOf(context),
    flag: controllers.expertReplicas,
    expertsOf,
    hottest,
  });
}

/** The StatefulSet of an object. */
export function setNameOf({ kind, name }: Subject): string {
  return setName(kind === 'MoEModel' ? 'stage' : 'expert', name);
}

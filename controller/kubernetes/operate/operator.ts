/**
 * The operator: while its controller leads, it makes what MoEModels and ExpertPools ask for. It looks at everything again whenever
 * something has changed, there or in the cluster, decides by pure functions, and does what they say.
 */
import type { Clock } from '../../../platform/process/clock.ts';
import type { ManagedChanges } from '../../cluster/control/managed-changes.ts';
import { type KubeApi, KubeError } from '../api/kube-api.ts';
import type { Controllers } from '../desired/controllers.ts';
import { busyElsewhere } from '../reconcile/busy-elsewhere.ts';
import { type WantedReplicas, wantedReplicas } from '../reconcile/expert-replicas.ts';
import { type Look, reconcileModel } from '../reconcile/reconcile-model.ts';
import { reconcilePool } from '../reconcile/reconcile-pool.ts';
import { OPERATOR } from '../reconcile/replicas-finding.ts';
import type { Step, Subject } from '../reconcile/step.ts';
import type { ExpertPool } from '../resources/expert-pool.ts';
import type { MoEModel } from '../resources/moe-model.ts';
import { ordinalOf, setName } from '../resources/names.ts';
import { type ClusterPicture, type ClusterSight, clusterPicture } from './cluster-picture.ts';
import { type ExecutorOptions, execute } from './executor.ts';
import { withRememberedRefusals } from './remembered-refusals.ts';
import { Store } from './store.ts';
import { WorkQueue } from './work-queue.ts';

/** The controller that the operator is part of. */
export interface OperatedCluster extends ClusterSight {
  /** Term under which it may act; null: it may not. */
  actingTerm(): number | null;
  onChange(listener: () => void): () => void;
  managed(): ManagedChanges;
}

export interface OperatorOptions {
  readonly api: KubeApi;
  readonly cluster: OperatedCluster;
  readonly controllers: Controllers;
  /** Id of this controller. */
  readonly id: string;
  /** Experts of a layer of the model; 0 where it has none. */
  readonly expertsOf: (layer: number) => number;
  readonly publish: ExecutorOptions['publish'];
  readonly clock: Clock;
  /** Milliseconds since the epoch. */
  readonly wallClock: () => number;
  /** From 0 to 1. */
  readonly random: () => number;
  readonly onError: (what: string, error: unknown) => void;
}

/** Milliseconds for which changes that come close together are waited for: of objects, and of the cluster, whose heartbeats never end. */
const OBJECTS_SETTLE_MS = 100;
const CLUSTER_SETTLE_MS = 500;
/** Milliseconds between looks when nothing changes. */
const TICK_MS = 5_000;
/** Milliseconds between two writes of a status of which only figures have changed. */
const MEASURED_MS = 10_000;
/** Milliseconds for which an object that was just written is waited for. */
const ECHO_MS = 5_000;
/** Steps after which the object or its StatefulSet has another version. */
const echoed: ReadonlySet<Step['kind']> = new Set(['apply', 'status', 'finalizers']);

export class Operator {
  readonly #options: OperatorOptions;
  readonly #store: Store;
  readonly #queue: WorkQueue;
  readonly #sight: ClusterSight;
  readonly #statusAt = new Map<string, number>();
  /** Versions from which something was decided and written: until another one is seen, nothing new can be decided. */
  readonly #decidedFrom = new Map<string, { readonly versions: string; readonly at: number }>();
  #stops: readonly (() => void)[] = [];
  #waking: { readonly at: number; readonly cancel: () => void } | null = null;
  #ticking: (() => void) | null = null;

  constructor(options: OperatorOptions) {
    const { api, clock, random, onError } = options;
    this.#options = options;
    this.#sight = withRememberedRefusals(options.cluster, clock);
    this.#store = new Store({ api, clock, random, onError, onChange: () => this.#wake(OBJECTS_SETTLE_MS) });
    this.#queue = new WorkQueue({
      clock,
      work: (key) => this.#look(key),
      onError: (key, error) => {
        // Somebody was faster: what is there now is looked at again.
        if (!(error instanceof KubeError && error.status === 409)) onError(key, error);
      },
    });
  }

  /** Begins to watch, and to act while the controller leads. */
  start(): void {
    this.#stops = [this.#options.cluster.onChange(() => this.#wake(CLUSTER_SETTLE_MS))];
    this.#store.start();
    this.#tick();
  }

  stop(): void {
    for (const stop of this.#stops) stop();
    this.#waking?.cancel();
    this.#ticking?.();
    this.#store.stop();
    this.#queue.stop();
  }

  #tick(): void {
    this.#ticking = this.#options.clock.after(TICK_MS, () => {
      this.#wake(0);
      this.#tick();
    });
  }

  #wake(settleMs: number): void {
    const { clock, cluster } = this.#options;
    const at = clock.now() + settleMs;
    if (this.#waking !== null && this.#waking.at <= at) return;
    this.#waking?.cancel();
    const cancel = clock.after(settleMs, () => {
      this.#waking = null;
      if (cluster.actingTerm() === null) return;
      for (const name of this.#store.models.items.keys()) this.#queue.add(`MoEModel/${name}`);
      for (const name of this.#store.pools.items.keys()) this.#queue.add(`ExpertPool/${name}`);
    });
    this.#waking = { at, cancel };
  }

  async #look(key: string): Promise<void> {
    const term = this.#options.cluster.actingTerm();
    if (term === null || !this.#store.synced) return;
    const [kind, name = ''] = key.split('/');
    const object = (kind === 'MoEModel' ? this.#store.models : this.#store.pools).items.get(name);
    if (object === undefined || this.#isOld(key, object)) return;
    const subject = { kind: kind === 'MoEModel' ? 'MoEModel' : 'ExpertPool', name, uid: object.metadata.uid } as const;
    const steps = this.#decide(subject, term);
    if (steps.length === 0) return;
    if (steps.some(({ kind }) => echoed.has(kind))) {
      this.#decidedFrom.set(key, { versions: this.#versions(subject), at: this.#options.clock.now() });
    }
    if (steps.some((step) => step.kind === 'status')) this.#statusAt.set(key, this.#options.clock.now());
    const { api, cluster, publish, onError } = this.#options;
    await execute(subject, byOf(subject), steps, {
      ...{ api, publish, onError },
      changes: () => cluster.managed(),
      leads: () => cluster.actingTerm() === term,
    });
  }

  #decide(subject: Subject, term: number): readonly Step[] {
    const picture = clusterPicture(this.#sight);
    const replicas = this.#replicas();
    if (subject.kind === 'MoEModel') {
      const model = this.#store.models.items.get(subject.name);
      if (model === undefined) return [];
      const set = setName('stage', subject.name);
      const look = this.#lookAt(subject, set, picture, term);
      return reconcileModel({ ...look, model, observed: this.#store.set(set), load: picture.model, replicas });
    }
    const pool = this.#store.pools.items.get(subject.name);
    if (pool === undefined) return [];
    const set = setName('expert', subject.name);
    return reconcilePool({
      ...this.#lookAt(subject, set, picture, term),
      ...{ pool, replicas, observed: this.#store.set(set), requests: picture.status.requests ?? [] },
      model: this.#store.models.items.get(pool.spec.model) ?? null,
      load: picture.pool((worker) => ordinalOf(set, worker) !== null),
    });
  }

  #lookAt(subject: Subject, set: string, picture: ClusterPicture, term: number): Look {
    const { controllers, id, clock, wallClock } = this.#options;
    const by = byOf(subject);
    const key = `${subject.kind}/${subject.name}`;
    return {
      ...{ controllers, by, workers: picture.workers, drained: picture.drainedBy(by), now: wallClock() },
      operator: `${id}/${term}`,
      busyElsewhere: busyElsewhere(set, this.#setsInOrder(picture)),
      measuredDue: clock.now() - (this.#statusAt.get(key) ?? Number.NEGATIVE_INFINITY) >= MEASURED_MS,
    };
  }

  /** The model's sets: stages first, then pools by name. */
  #setsInOrder(picture: ClusterPicture) {
    const { model } = this.#options.controllers;
    const sets: readonly Subject[] = [
      { kind: 'MoEModel', name: model },
      ...this.#pools().map(({ metadata }): Subject => ({ kind: 'ExpertPool', name: metadata.name })),
    ];
    return sets.map((subject) => {
      const name = setName(subject.kind === 'MoEModel' ? 'stage' : 'expert', subject.name);
      return { name, observed: this.#store.set(name), draining: picture.drainedBy(byOf(subject)).length > 0 };
    });
  }

  #pools(): readonly ExpertPool[] {
    const { model } = this.#options.controllers;
    return [...this.#store.pools.items.values()]
      .filter(({ spec, metadata }) => spec.model === model && metadata.deletionTimestamp === undefined)
      .sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
  }

  #replicas(): WantedReplicas {
    const { controllers, expertsOf, cluster } = this.#options;
    const model: MoEModel | undefined = this.#store.models.items.get(controllers.model);
    if (model === undefined) return { ask: null, digest: '', problems: new Map(), waiting: null };
    const flag = controllers.running.expertReplicas;
    const hottest = (count: number) => cluster.managed().hottest(count);
    return wantedReplicas({ model, pools: this.#pools(), flag, expertsOf, hottest });
  }

  /** Whether what is seen of an object is what was there before this operator wrote to it. */
  #isOld(key: string, { metadata }: MoEModel | ExpertPool): boolean {
    const decided = this.#decidedFrom.get(key);
    if (decided === undefined || this.#options.clock.now() - decided.at > ECHO_MS) return false;
    const [kind] = key.split('/');
    const subject: Subject = { kind: kind === 'MoEModel' ? 'MoEModel' : 'ExpertPool', name: metadata.name };
    return decided.versions === this.#versions(subject);
  }

  #versions({ kind, name }: Subject): string {
    const object = (kind === 'MoEModel' ? this.#store.models : this.#store.pools).items.get(name);
    const set = this.#store.statefulSets.items.get(setName(kind === 'MoEModel' ? 'stage' : 'expert', name));
    return `${object?.metadata.resourceVersion}/${set?.metadata.resourceVersion}`;
  }
}

/** Who asks for what an object says, in requests and events of the cluster. */
function byOf({ kind, name }: Subject): string {
  return `${OPERATOR} (${kind}/${name})`;
}

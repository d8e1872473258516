/**
 * The operator: while its controller leads, it makes what MoEModels and ExpertPools ask for. It looks at everything again whenever
 * something has changed, there or in the cluster, decides by pure functions, and does what they say.
 */
import type { Clock } from '../../../platform/process/clock.ts';
import type { ManagedChanges } from '../../cluster/control/managed-changes.ts';
import { type KubeApi, KubeError } from '../api/kube-api.ts';
import type { Controllers } from '../desired/controllers.ts';
import type { Step, Subject } from '../reconcile/step.ts';
import type { ExpertPool } from '../resources/expert-pool.ts';
import type { MoEModel } from '../resources/moe-model.ts';
import type { ClusterSight } from './cluster-picture.ts';
import { byOf, type DecideContext, decide, setNameOf } from './decide.ts';
import { type ExecutorOptions, execute } from './executor.ts';
import { NamespaceEnd } from './namespace-end.ts';
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
  readonly #namespaceEnd: NamespaceEnd;
  readonly #statusAt = new Map<string, number>();
  /** Versions from which something was decided and written: until another one is seen, nothing new can be decided. */
  readonly #decidedFrom = new Map<string, { readonly versions: string; readonly at: number }>();
  #stops: readonly (() => void)[] = [];
  #waking: { readonly at: number; readonly cancel: () => void } | null = null;
  #ticking: (() => void) | null = null;

  constructor(options: OperatorOptions) {
    const { api, clock, random, onError } = options;
    this.#options = options;
    this.#namespaceEnd = new NamespaceEnd(api, clock);
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
    const subject = subjectOf(key);
    const object = this.#objectOf(subject);
    if (object === undefined || this.#isOld(key, subject)) return;
    const namespaceLeaves = await this.#namespaceEnd.isNear(this.#store.podsGo);
    const steps = decide(subject, { ...this.#context(key, term), namespaceLeaves });
    if (steps.length === 0) return;
    if (steps.some(({ kind }) => echoed.has(kind))) {
      this.#decidedFrom.set(key, { versions: this.#versions(subject), at: this.#options.clock.now() });
    }
    if (steps.some((step) => step.kind === 'status')) this.#statusAt.set(key, this.#options.clock.now());
    const { api, cluster, publish, onError } = this.#options;
    await execute({ ...subject, uid: object.metadata.uid }, byOf(subject), steps, {
      ...{ api, publish, onError },
      changes: () => cluster.managed(),
      leads: () => cluster.actingTerm() === term,
    });
  }

  #context(key: string, term: number): Omit<DecideContext, 'namespaceLeaves'> {
    const { controllers, cluster, expertsOf, id, clock, wallClock } = this.#options;
    return {
      ...{
        controllers,
        expertsOf,
        store: this.#store,
        sight: this.#sight,
        operator: `${id}/${term}`,
        now: wallClock(),
      },
      hottest: (count) => cluster.managed().hottest(count),
      measuredDue: clock.now() - (this.#statusAt.get(key) ?? Number.NEGATIVE_INFINITY) >= MEASURED_MS,
    };
  }

  /** Whether what is seen of an object is what was there before this operator wrote to it. */
  #isOld(key: string, subject: Subject): boolean {
    const decided = this.#decidedFrom.get(key);
    if (decided === undefined || this.#options.clock.now() - decided.at > ECHO_MS) return false;
    return decided.versions === this.#versions(subject);
  }

  #objectOf({ kind, name }: Subject): MoEModel | ExpertPool | undefined {
    return (kind === 'MoEModel' ? this.#store.models : this.#store.pools).items.get(name);
  }

  #versions(subject: Subject): string {
    const set = this.#store.statefulSets.items.get(setNameOf(subject));
    return `${this.#objectOf(subject)?.metadata.resourceVersion}/${set?.metadata.resourceVersion}`;
  }
}

/** Of a key of the queue, such as "ExpertPool/experts". */
function subjectOf(key: string): Subject {
  const [kind, name = ''] = key.split('/');
  return { kind: kind === 'MoEModel' ? 'MoEModel' : 'ExpertPool', name };
}

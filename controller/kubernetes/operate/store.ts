import type { Clock } from '../../../platform/process/clock.ts';
import type { KubeApi, RawObject, Watched } from '../api/kube-api.ts';
import type { ObservedSet } from '../reconcile/observed.ts';
import { expertPoolSchema } from '../resources/expert-pool.ts';
import { moeModelSchema } from '../resources/moe-model.ts';
import { observedSet, plainSchema, podSchema, statefulSetSchema } from './observe.ts';
import { Reflector } from './reflector.ts';

export interface StoreOptions {
  readonly api: Pick<KubeApi, 'list' | 'watch'>;
  readonly onChange: () => void;
  readonly onError: (what: string, error: unknown) => void;
  readonly clock: Clock;
  readonly random: () => number;
}

interface Schema<T> {
  safeParse(
    object: unknown,
  ): { readonly success: true; readonly data: T } | { readonly success: false; readonly error: Error };
}

/** Everything that the operator looks at, as the API server has it. */
export class Store {
  readonly models;
  readonly pools;
  readonly statefulSets;
  readonly #services;
  readonly #budgets;
  readonly #pods;
  readonly #options: StoreOptions;

  constructor(options: StoreOptions) {
    this.#options = options;
    this.models = this.#reflector('moemodels', moeModelSchema);
    this.pools = this.#reflector('expertpools', expertPoolSchema);
    this.statefulSets = this.#reflector('statefulsets', statefulSetSchema);
    this.#services = this.#reflector('services', plainSchema);
    this.#budgets = this.#reflector('poddisruptionbudgets', plainSchema);
    this.#pods = this.#reflector('pods', podSchema);
  }

  start(): void {
    for (const reflector of this.#all()) void reflector.run();
  }

  stop(): void {
    for (const reflector of this.#all()) reflector.stop();
  }

  /** Everything that there is has been seen once. */
  get synced(): boolean {
    return this.#all().every(({ synced }) => synced);
  }

  /** Some worker's pod is on its way out. */
  get podsGo(): boolean {
    return [...this.#pods.items.values()].some(({ metadata }) => metadata.deletionTimestamp !== undefined);
  }

  /** A set of workers, by the name of its StatefulSet. */
  set(name: string): ObservedSet {
    return observedSet(name, {
      statefulSet: this.statefulSets.items.get(name),
      service: this.#services.items.get(name),
      budget: this.#budgets.items.get(name),
      pods: this.#pods.items.values(),
    });
  }

  #all(): readonly Pick<Reflector<unknown>, 'run' | 'stop' | 'synced'>[] {
    return [this.models, this.pools, this.statefulSets, this.#services, this.#budgets, this.#pods];
  }

  #reflector<T>(kind: Watched, schema: Schema<T>): Reflector<T> {
    const { onError, onChange } = this.#options;
    const read = (object: RawObject): T | null => {
      const parsed = schema.safeParse(object);
      if (parsed.success) return parsed.data;
      onError(`${kind} ${object.metadata.name} is not as this version reads it, and is left alone`, parsed.error);
      return null;
    };
    return new Reflector({ ...this.#options, kind, read, onChange });
  }
}

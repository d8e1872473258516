import type { Clock } from '../../../platform/process/clock.ts';
import type { KubeApi } from '../api/kube-api.ts';

/** Milliseconds for which an answer holds. */
const HOLDS_MS = 1_000;

/**
 * Whether the operator's namespace is being deleted: then nothing that it waits for will come, and what holds its objects there
 * must go. Pods go first, so it asks only while pods of workers go.
 */
export class NamespaceEnd {
  readonly #api: Pick<KubeApi, 'namespaceLeaves'>;
  readonly #clock: Clock;
  #askedAt = Number.NEGATIVE_INFINITY;
  #answer: Promise<boolean> = Promise.resolve(false);
  #leaves = false;

  constructor(api: Pick<KubeApi, 'namespaceLeaves'>, clock: Clock) {
    this.#api = api;
    this.#clock = clock;
  }

  /** Rejects when the API server does not answer. A namespace that leaves does not come back. */
  async isNear(podsGo: boolean): Promise<boolean> {
    if (this.#leaves || !podsGo) return this.#leaves;
    if (this.#clock.now() - this.#askedAt >= HOLDS_MS) {
      this.#askedAt = this.#clock.now();
      this.#answer = this.#api.namespaceLeaves();
    }
    this.#leaves = await this.#answer;
    return this.#leaves;
  }
}

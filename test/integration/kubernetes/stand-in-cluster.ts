import type { ManagedChanges } from '../../../controller/cluster/control/managed-changes.ts';
import type { OperatedCluster } from '../../../controller/kubernetes/operate/operator.ts';

/** A cluster whose workers are and hold what the test says; it keeps what it is asked for. */
export class StandInCluster implements OperatedCluster {
  term: number | null = 1;
  /** Workers that are there. */
  readonly there = new Set<string>();
  /** Those of them that hold something. */
  readonly holding = new Set<string>();
  /** Who asked for the drain of which worker. */
  readonly draining = new Map<string, string>();
  readonly asked: string[] = [];
  readonly #listeners = new Set<() => void>();

  changed(): void {
    for (const listener of this.#listeners) listener();
  }

  actingTerm(): number | null {
    return this.term;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  obstacles(): readonly string[] {
    return [];
  }

  get view(): OperatedCluster['view'] {
    const draining = [...this.draining].map(([workerId, by]) => ({
      workerId,
      asked: { by, atMs: 1, replacedRevision: 0 },
    }));
    const plan = { pipelines: [], workers: [...this.holding].map((id) => ({ id })) };
    return {
      workers: new Map([...this.there].map((id) => [id, { id }])),
      reports: new Map(),
      ...{ target: plan, committed: plan, constraints: { value: { draining }, revision: 1 } },
    } as unknown as OperatedCluster['view'];
  }

  status(): ReturnType<OperatedCluster['status']> {
    return {
      model: 'clerk',
      rollout: { phase: 'ROLLOUT_PHASE_COMPLETE', epoch: 1 },
      workers: [...this.there].map((id) => ({ id, state: 'WORKER_STATE_READY' })),
      requests: [],
    };
  }

  managed(): ManagedChanges {
    return {
      drainRefusals: () => [],
      drain: async (worker, by) => {
        this.draining.set(worker, by);
        this.changed();
      },
      undrain: async (worker) => {
        this.draining.delete(worker);
        this.changed();
      },
      forget: async () => {},
      askReplicas: async (asked, by) => {
        this.asked.push(`${JSON.stringify(asked)} by ${by}`);
      },
      hottest: () => [],
    };
  }
}

import type { ClusterView } from '../../../platform/membership/cluster-view.ts';
import type { WorkerAnnouncement__Output as WorkerAnnouncement } from '../../../proto/generated/conclave/v1/WorkerAnnouncement.ts';
import type { PlacementPlan } from '../../../proto/messages.ts';
import { reachedByStages } from './reached-by-stages.ts';
import type { Roster } from './roster.ts';

export interface UsableWorkersOptions {
  readonly view: ClusterView;
  readonly roster: Pick<Roster, 'mayHold' | 'lostForMs'>;
}

/**
 * Milliseconds that a lost worker has to come back before its experts are moved: other replicas answer meanwhile, and moving
 * them costs more than a restart. A part of a pipeline is moved at once.
 */
const RESTART_MS = 5_000;

/**
 * Workers that a plan may name: those that this controller reaches, and for experts those that only stages reach. Nothing else
 * has a use for the address of a worker.
 */
export class UsableWorkers {
  readonly #options: UsableWorkersOptions;
  /** Workers, as sessions, that the latest plan was made without although they had announced themselves. */
  #without: ReadonlySet<string> = new Set();

  constructor(options: UsableWorkersOptions) {
    this.#options = options;
  }

  now(): readonly WorkerAnnouncement[] {
    const { view, roster } = this.#options;
    const planned = new Set(view.target?.workers.map(({ id, address }) => `${id}@${address}`));
    return [...view.workers.values()].flatMap((worker) => {
      if (roster.mayHold(worker.id, planned.has(`${worker.id}@${worker.address}`))) return [worker];
      // What stages say of a worker that was just lost may be from before.
      if ((roster.lostForMs(worker.id) ?? RESTART_MS) < RESTART_MS) return [];
      const expert = worker.roles.includes('expert') && reachedByStages(view, worker);
      return expert ? [{ ...worker, roles: ['expert'] }] : [];
    });
  }

  /** The usable ones, and lost ones whose experts are kept for them: they may only be restarting. */
  orReturning(): readonly WorkerAnnouncement[] {
    const { view } = this.#options;
    const usable = new Map(this.now().map((worker) => [worker.id, worker]));
    return [...view.workers.values()].flatMap(
      (worker) => usable.get(worker.id) ?? (this.#mayReturn(worker) ? worker : []),
    );
  }

  /** A plan is made now: who is not usable at this moment is not waited for any more. */
  planned(): void {
    const usable = new Set(this.now().map(({ id }) => id));
    const left = [...this.#options.view.workers.values()].filter(({ id }) => !usable.has(id));
    this.#without = new Set(left.map(sessionOf));
  }

  #mayReturn(worker: WorkerAnnouncement): boolean {
    const { view, roster } = this.#options;
    const lostForMs = roster.lostForMs(worker.id);
    if (lostForMs === null || lostForMs >= RESTART_MS || this.#without.has(sessionOf(worker))) return false;
    return view.target !== null && !hasRank(view.target, worker.id);
  }
}

function sessionOf({ id, startedAtMs }: WorkerAnnouncement): string {
  return `${id}/${startedAtMs}`;
}

/** Whether a plan gives a part of a pipeline to a worker. */
function hasRank({ workers, pipelines }: PlacementPlan, workerId: string): boolean {
  return pipelines.some(({ stages }) =>
    stages.some(({ ranks }) => ranks.some(({ worker }) => workers[worker]?.id === workerId)),
  );
}

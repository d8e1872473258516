import type { ClusterView } from '../../platform/membership/cluster-view.ts';
import type { EngineSnapshot } from '../engine/run/observer.ts';

/** How the time ended in which a worker moves everything off itself. */
export type Departure = 'moved' | 'nobody stays' | 'too late';

/**
 * Whether a worker that leaves waits in vain: every other one leaves too, so that nobody will take anything over, and nothing
 * is computed any more that needs it. `engine`: of the pipeline that it leads, or null.
 */
export function nobodyStays(
  { workers, committed }: Pick<ClusterView, 'workers' | 'committed'>,
  workerId: string,
  engine: Pick<EngineSnapshot, 'running' | 'waiting' | 'held'> | null,
): boolean {
  if ([...workers.values()].some(({ draining }) => !draining)) return false;
  if (engine !== null) return engine.running + engine.waiting + engine.held === 0;
  // Who leads a pipeline asks the others for as long as requests run.
  const leads =
    committed?.pipelines.map(({ stages }) => committed.workers[stages[0]?.ranks[0]?.worker ?? -1]?.id) ?? [];
  return !leads.some((id) => id !== undefined && id !== workerId && workers.has(id));
}

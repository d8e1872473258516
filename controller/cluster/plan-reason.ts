import type { ClusterView } from '../../proto/cluster-view.ts';
import type { WorkerAnnouncement__Output as WorkerAnnouncement } from '../../proto/generated/conclave/v1/WorkerAnnouncement.ts';

/** Why a plan is made now, for people. `leaves`: whether a worker must hold nothing. */
export function planReason(
  { target, workers, constraints }: Pick<ClusterView, 'target' | 'workers' | 'constraints'>,
  leaves: (worker: WorkerAnnouncement) => boolean,
): string {
  if (target === null) return 'first plan';
  if ((constraints?.revision ?? 0) !== target.constraintsRevision) {
    return 'operators asked for other replicas or a drain';
  }
  const before = new Set(target.workers.map(({ id }) => id));
  const joined = [...workers.keys()].filter((id) => !before.has(id));
  const lost = [...before].filter((id) => !workers.has(id));
  const leaving = [...workers.values()].filter((worker) => leaves(worker) && before.has(worker.id));
  const parts = [
    ...(lost.length > 0 ? [`lost ${lost.join(', ')}`] : []),
    ...(leaving.length > 0 ? [`${leaving.map(({ id }) => id).join(', ')} leaves`] : []),
    ...(joined.length > 0 ? [`${joined.join(', ')} joined`] : []),
  ];
  return parts.length > 0 ? parts.join('; ') : 'workers changed';
}

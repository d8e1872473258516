import type { ClusterView } from '../../../platform/membership/cluster-view.ts';
import type { WorkerAnnouncement__Output as WorkerAnnouncement } from '../../../proto/generated/conclave/v1/WorkerAnnouncement.ts';

/** Whether some worker with a stage, whose own process is there, says that it reaches this process of a worker. */
export function reachedByStages(
  { workers, reports }: Pick<ClusterView, 'workers' | 'reports'>,
  { id, startedAtMs }: Pick<WorkerAnnouncement, 'id' | 'startedAtMs'>,
): boolean {
  return [...reports.values()].some(
    (report) =>
      workers.get(report.id)?.startedAtMs === report.startedAtMs &&
      report.reached.some((session) => session.workerId === id && session.startedAtMs === startedAtMs),
  );
}

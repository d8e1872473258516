import type { ClusterView } from '../../platform/membership/cluster-view.ts';
import type { Roster } from './roster/roster.ts';

type ObstaclesView = Pick<ClusterView, 'target' | 'committed' | 'reports'>;

/**
 * Why requests cannot be answered now; empty: they can. `routable`: whether some pipeline takes requests. `problems`: why there
 * is no plan for what is there.
 */
export function obstacles(
  view: ObstaclesView,
  roster: Pick<Roster, 'get' | 'takesRequests' | 'isGone'>,
  routable: boolean,
  problems: readonly string[],
): readonly string[] {
  if (routable && view.committed !== null) return [];
  const missing = missingParts(view, roster);
  if (problems.length > 0) return [...missing, ...problems];
  if (view.target === null) return ['no plan yet'];
  if (missing.length > 0) return missing;
  const loading = [...view.reports.values()]
    .filter(({ state }) => state === 'WORKER_STATE_LOADING')
    .map(({ id }) => id);
  const what = loading.length > 0 ? `${loading.sort().join(', ')} are loading` : 'no pipeline is ready';
  return [`plan ${view.target.epoch} is being rolled out: ${what}`];
}

/** Workers without which pipelines that are in force compute nothing and that are not there, and why. */
function missingParts(
  { committed }: ObstaclesView,
  roster: Pick<Roster, 'get' | 'takesRequests' | 'isGone'>,
): readonly string[] {
  return (committed?.pipelines ?? []).flatMap(({ id, stages }) =>
    stages.flatMap(({ ranks }, stage) =>
      ranks.flatMap(({ worker: index }, rank) => {
        const worker = committed?.workers[index];
        const leads = stage === 0 && rank === 0;
        if (worker === undefined || !(leads ? !roster.takesRequests(worker.id) : roster.isGone(worker.id))) return [];
        const { standing = 'lost', reason = 'it sends no heartbeats' } = roster.get(worker.id) ?? {};
        return [`${worker.id}, which ${leads ? 'leads' : 'has a part of'} pipeline ${id}, is ${standing}: ${reason}`];
      }),
    ),
  );
}

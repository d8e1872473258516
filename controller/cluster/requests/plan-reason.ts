import type { ClusterView } from '../../../platform/membership/cluster-view.ts';
import type { Asked__Output as Asked } from '../../../proto/generated/conclave/v1/Asked.ts';

/** Changes that are named one by one. */
const NAMED = 3;

export interface Occasion {
  /** Workers that were there when the plan before was made. */
  readonly seen: ReadonlySet<string>;
  /** Workers that failed since. */
  readonly failed: readonly string[];
  /** Workers that failed and are tried again. */
  readonly retried: readonly string[];
}

/** Why a plan is made now, for people: what operators changed since the plan before, and who, and what became of workers. */
export function planReason(
  { target, workers, constraints }: Pick<ClusterView, 'target' | 'workers' | 'constraints'>,
  { seen, failed, retried }: Occasion,
): string {
  if (target === null) return 'first plan';
  const changes = (constraints?.value.changes ?? [])
    .filter(({ asked }) => (asked?.replacedRevision ?? 0) >= target.constraintsRevision)
    .map(({ what, asked }) => `${what}${byWhom(asked)}`);
  const planned = new Set(target.workers.map(({ id }) => id));
  const leaving = [...workers.values()].filter(({ id, draining }) => draining && planned.has(id)).map(({ id }) => id);
  const lost = [...planned].filter((id) => !workers.has(id));
  const joined = [...workers.keys()].filter((id) => !seen.has(id) && !planned.has(id));
  const parts = [
    ...changes.slice(-NAMED),
    ...listed(lost, 'lost'),
    ...listed(leaving, leaving.length === 1 ? 'shuts down' : 'shut down'),
    ...listed(failed, 'failed'),
    ...listed(retried, retried.length === 1 ? 'is tried again' : 'are tried again'),
    ...listed(joined, 'joined'),
  ];
  return parts.length > 0 ? parts.join('; ') : 'workers changed';
}

/** " by local operator"; nothing for what the cluster did by itself. */
export function byWhom(asked: Pick<Asked, 'by'> | null): string {
  return asked === null || asked.by === '' ? '' : ` by ${asked.by}`;
}

function listed(ids: readonly string[], what: string): readonly string[] {
  return ids.length === 0 ? [] : [`${ids.length === 1 ? 'worker' : 'workers'} ${ids.join(', ')} ${what}`];
}

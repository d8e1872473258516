import { formatBytes } from '../../../platform/process/quantities.ts';
import { conditionsOf, type Finding } from '../resources/conditions.ts';
import type { ExpertPool } from '../resources/expert-pool.ts';
import { accepted, progressing } from './findings.ts';
import type { ObservedSet } from './observed.ts';
import type { Progress } from './progress.ts';
import type { Status } from './step.ts';

/** What of the cluster is about a pool's workers. */
export interface PoolLoad {
  readonly slots: number;
  readonly weightBytes: number;
  /** Rows of the busiest worker over the mean; null before load was measured. */
  readonly imbalance: number | null;
  /** Busiest first. */
  readonly hottest: readonly { readonly layer: number; readonly expert: number; readonly rowsPerSecond: number }[];
  /** Workers that are being drained or are drained. */
  readonly drained: readonly string[];
}

export interface PoolStatusInput {
  readonly pool: ExpertPool;
  readonly observed: ObservedSet;
  readonly load: PoolLoad;
  readonly progress: Progress;
  readonly problems: readonly string[];
  /** About the replicas of experts. */
  readonly replicas: Finding;
  readonly selector: Readonly<Record<string, string>>;
  readonly now: number;
}

export function poolStatus(input: PoolStatusInput): Status {
  const { pool, observed, load, progress, problems, replicas, selector, now } = input;
  const { generation } = pool.metadata;
  const ready = observed.pods.filter((pod) => pod.ready && !pod.terminating).length;
  return {
    observedGeneration: generation,
    desiredReplicas: pool.spec.replicas,
    ...podCounts(observed),
    selector: Object.entries(selector)
      .map(([label, value]) => `${label}=${value}`)
      .join(','),
    slots: load.slots,
    weightBytes: load.weightBytes,
    weightSize: formatBytes(load.weightBytes),
    ...(load.imbalance === null ? {} : { imbalance: load.imbalance.toFixed(2) }),
    hottestExperts: load.hottest.map((expert) => ({ ...expert, rowsPerSecond: Math.round(expert.rowsPerSecond) })),
    drained: load.drained,
    conditions: conditionsOf(
      [accepted(problems), allReady(ready, pool.spec.replicas), progressing(progress), replicas],
      pool.status.conditions,
      { generation, now },
    ),
  };
}

/** Pods of a set, as Deployments count them. */
export function podCounts({ pods, statefulSet }: ObservedSet) {
  return {
    replicas: pods.length,
    readyReplicas: pods.filter(({ ready, terminating }) => ready && !terminating).length,
    updatedReplicas: pods.filter(({ revision }) => revision === statefulSet?.updateRevision).length,
  };
}

function allReady(ready: number, wanted: number): Finding {
  const message = `${ready} of ${wanted} workers hold what the plan gives them`;
  return { type: 'Ready', holds: ready >= wanted, reason: ready >= wanted ? 'AllReady' : 'NotAllReady', message };
}

import type { ClusterView } from '../../../platform/membership/cluster-view.ts';
import type { ClusterConstraints__Output as ClusterConstraints } from '../../../proto/generated/conclave/v1/ClusterConstraints.ts';
import type { ModelSpec } from '../../../proto/messages.ts';
import type { PlanConstraints } from '../../planner/input/input.ts';

interface Given {
  readonly spec: ModelSpec;
  /** Layout and defaults from the command line. */
  readonly baseConstraints: PlanConstraints;
  readonly leastKvBlocks: number;
  readonly view: Pick<ClusterView, 'target'>;
}

/** Ids of workers that plans use less than operators ask for. */
export interface Restricted {
  /** They get nothing. */
  readonly leaving: readonly string[];
  /** They keep what they have and get nothing new. */
  readonly keeping: readonly string[];
}

/** What the next plan must keep to: the command line, what operators asked for since, and workers that leave or failed. */
export function planConstraints(
  given: Given,
  asked: ClusterConstraints | null,
  { leaving, keeping }: Restricted,
): PlanConstraints {
  const base = given.baseConstraints;
  const ids = (requests: ClusterConstraints['draining'] | undefined): readonly string[] =>
    (requests ?? []).map(({ workerId }) => workerId);
  return {
    ...base,
    // A cache that was planned keeps its size: another one would make every stage start again.
    kvBlocks: plannedBlocks(given) ?? base.kvBlocks,
    draining: sorted([...base.draining, ...ids(asked?.draining), ...leaving]),
    cordoned: sorted([...base.cordoned, ...ids(asked?.cordoned), ...keeping]),
    defaultReplicas: asked?.defaultReplicas || base.defaultReplicas,
    overrides:
      asked?.overrides.flatMap(({ replicas, experts }) => experts.map((expert) => ({ ...expert, replicas }))) ??
      base.overrides,
  };
}

function sorted(ids: readonly string[]): readonly string[] {
  return [...new Set(ids)].sort();
}

/** Blocks of the target plan's caches, when it was made for the same blocks; null without one. */
function plannedBlocks({ spec, baseConstraints, leastKvBlocks, view: { target } }: Given): number | null {
  const { blockSize, kvBlocks } = baseConstraints;
  const planned = target?.pipelines[0]?.kvBlocks;
  const alike = target?.modelDigest === spec.digest && target.blockSize === blockSize;
  return planned !== undefined && alike && planned >= leastKvBlocks && planned <= kvBlocks ? planned : null;
}

import type { ClusterConstraints__Output as ClusterConstraints } from '../../../proto/generated/conclave/v1/ClusterConstraints.ts';
import type { ModelSpec } from '../../../proto/messages.ts';
import type { Leader } from '../leader/leader.ts';
import { clusterRequests, requestKey, unmet } from '../requests/requests.ts';

interface Given {
  readonly spec: ModelSpec;
  /** Replicas of every expert while operators asked for nothing. */
  readonly defaultReplicas: number;
  /** See Leader.planFor. */
  readonly planFor: Leader['planFor'];
}

/**
 * Why a change cannot be accepted: no plan, or one that does not give what is changed, or that takes away what plans give
 * now. What has to wait anyway stands in the way of nothing.
 */
export function refusals(
  now: ClusterConstraints,
  wanted: ClusterConstraints,
  { spec, defaultReplicas, planFor }: Given,
): readonly string[] {
  // Of the revision that none has: it carries out all that is asked.
  const planned = (constraints: ClusterConstraints) => planFor(constraints, Number.MAX_SAFE_INTEGER, '');
  const result = planned(wanted);
  if (result.kind === 'infeasible') return result.problems;
  const [asked, before] = [clusterRequests(spec, defaultReplicas, wanted), clusterRequests(spec, defaultReplicas, now)];
  const missing = unmet(result.plan, asked);
  if (missing.size === 0) return [];
  const current = planned(now);
  const waiting = current.kind === 'infeasible' ? new Set(before.map(requestKey)) : unmet(current.plan, before);
  const lost = asked.filter((request) => missing.has(requestKey(request)) && !waiting.has(requestKey(request)));
  if (lost.length === 0) return [];
  return result.shortfalls.length > 0 ? result.shortfalls : lost.map(({ what }) => `no plan gives ${what}`);
}

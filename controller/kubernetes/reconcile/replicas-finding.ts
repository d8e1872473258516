import type { GetStatusResponse } from '../../../proto/generated/conclave/v1/GetStatusResponse.ts';
import type { Finding } from '../resources/conditions.ts';
import type { WantedReplicas } from './expert-replicas.ts';

/** Who asks for what MoEModels and ExpertPools say, before the name of the object. */
export const OPERATOR = 'operator';

/** What became of a pool's replicas of experts. */
export function replicasFinding(
  pool: string,
  { problems, waiting }: WantedReplicas,
  { requests = [], plan }: Pick<GetStatusResponse, 'requests' | 'plan'>,
): Finding {
  const type = 'ExpertReplicasApplied';
  const problem = problems.get(pool) ?? waiting;
  if (problem !== null && problem !== undefined) return { type, holds: false, reason: 'NotAsked', message: problem };
  const replicas = requests.filter(({ kind }) => kind === 'replicas');
  if (Number(plan?.epoch ?? 0) === 0)
    return { type, holds: false, reason: 'NoPlanYet', message: 'there is no plan yet' };
  const pending = replicas.find(({ state }) => state === 'REQUEST_STATE_PENDING');
  if (pending !== undefined) {
    return { type, holds: false, reason: 'Pending', message: `${pending.what}: ${pending.reason}` };
  }
  const other = replicas.find(({ asked }) => asked != null && !(asked.by ?? '').startsWith(`${OPERATOR} `));
  if (other !== undefined) {
    const message = `${other.asked?.by ?? 'somebody'} asked for ${other.what} since; it stands until this spec changes`;
    return { type, holds: false, reason: 'ChangedSince', message };
  }
  const coming = replicas.find(({ state }) => state === 'REQUEST_STATE_ROLLING_OUT');
  if (coming !== undefined) return { type, holds: false, reason: 'RollingOut', message: coming.what ?? '' };
  return { type, holds: true, reason: 'InForce', message: replicas.map(({ what }) => what).join('; ') };
}

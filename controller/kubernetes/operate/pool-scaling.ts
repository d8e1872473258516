import { status } from '@grpc/grpc-js';
import { ControlError } from '../../cluster/control/control-error.ts';
import type { PoolScaling } from '../../cluster/control/control-service.ts';
import { type KubeApi, KubeError } from '../api/kube-api.ts';

/** Longest name of a writer that the API server keeps. */
const WRITER_LENGTH = 128;

/** Scales ExpertPools through their scale subresource, as kubectl and autoscalers do. */
export function poolScaling(api: Pick<KubeApi, 'scalePool' | 'list'>, namespace: string): PoolScaling {
  return {
    scale: async (pool, replicas, by) => {
      try {
        return await api.scalePool(pool, replicas, `conclave scale, ${by}`.slice(0, WRITER_LENGTH));
      } catch (error) {
        if (!(error instanceof KubeError)) throw error;
        if (error.status !== 404) throw new ControlError(codeOf(error), `pool: ${error.message}`);
        const { items } = await api.list('expertpools');
        const known = items.map(({ metadata }) => metadata.name).join(', ') || 'none';
        const message = `pool: no ExpertPool "${pool}" in namespace ${namespace}; there are: ${known}`;
        throw new ControlError(status.NOT_FOUND, message);
      }
    },
  };
}

function codeOf({ status: http }: KubeError): status {
  if (http === 400 || http === 422) return status.INVALID_ARGUMENT;
  return http === 403 ? status.FAILED_PRECONDITION : status.UNAVAILABLE;
}

import { Metadata, status } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { ControlError } from '../../../../controller/cluster/control/control-error.ts';
import {
  type ControlServiceOptions,
  controlService,
  type PoolScaling,
} from '../../../../controller/cluster/control/control-service.ts';
import { KubeError } from '../../../../controller/kubernetes/api/kube-api.ts';
import { poolScaling } from '../../../../controller/kubernetes/operate/pool-scaling.ts';

/** What ControlService answers to a request to scale a pool. */
function ask(request: object, pools: PoolScaling | null): Promise<unknown> {
  const options = { pools, nameOf: () => 'key 1f3870be (ada@ops1)' } as unknown as ControlServiceOptions;
  const { Scale } = controlService(options) as unknown as {
    Scale: (call: object, done: (error: Error | null, response?: unknown) => void) => void;
  };
  const call = { request: { target: 'pool', dryRun: false, ...request }, metadata: new Metadata() };
  return new Promise((resolve, reject) => {
    Scale(call, (error, response) => (error === null ? resolve(response) : reject(error)));
  });
}

describe('scaling a pool', () => {
  it('passes on how many, of what, and for whom', async () => {
    const asked: unknown[] = [];
    const pools: PoolScaling = {
      scale: async (...given) => {
        asked.push(given);
        return 2;
      },
    };
    expect(await ask({ pool: 'experts', replicas: 0 }, pools)).toMatchObject({ epoch: 0, poolReplicasBefore: 2 });
    expect(asked).toEqual([['experts', 0, 'key 1f3870be (ada@ops1)']]);
  });

  const none: PoolScaling = { scale: () => Promise.reject(new ControlError(status.NOT_FOUND, 'pool: no ExpertPool')) };

  it.each([
    [
      'elsewhere than on Kubernetes',
      { pool: 'experts', replicas: 1 },
      null,
      status.FAILED_PRECONDITION,
      /--kubernetes/,
    ],
    ['to too many', { pool: 'experts', replicas: 10_001 }, none, status.INVALID_ARGUMENT, /expected 0 to 10000/],
    ['dry', { pool: 'experts', replicas: 1, dryRun: true }, none, status.INVALID_ARGUMENT, /dry_run/],
    ['that there is not', { pool: 'x', replicas: 1 }, none, status.NOT_FOUND, /no ExpertPool/],
  ])('is refused %s', async (_, request, pools, code, details) => {
    await expect(ask(request, pools)).rejects.toMatchObject({ code, details: expect.stringMatching(details) });
  });

  it.each([
    [403, status.FAILED_PRECONDITION],
    [422, status.INVALID_ARGUMENT],
    [0, status.UNAVAILABLE],
    [503, status.UNAVAILABLE],
  ])('says what the API server refused with HTTP %i', async (http, code) => {
    const scalePool = () => Promise.reject(new KubeError('PATCH scale', http, 'no'));
    const list = () => Promise.reject(new Error('not asked'));
    await expect(poolScaling({ scalePool, list }, 'moe').scale('a', 1, 'ada')).rejects.toMatchObject({ code });
  });
});

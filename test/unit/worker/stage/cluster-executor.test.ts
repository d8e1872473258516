import { expect, it } from 'vitest';
import type { StepBatch } from '../../../../native/native.ts';
import { ClusterExecutor } from '../../../../worker/stage/cluster-executor.ts';
import { CacheClaim } from '../../../../worker/wire/cache-claim.ts';
import { ManualClock } from '../engine/manual-clock.ts';

it('waits for a worker that is away, but not once the pipeline is taken from here', async () => {
  const clock = new ManualClock();
  const executor = new ClusterExecutor({
    limits: { kvBlocks: 1, blockSize: 1, stateSlots: 0 },
    run: () => Promise.reject(new Error('not to be run')),
    ready: () => false,
    claim: new CacheClaim(() => 1, 1),
    clock,
  });
  const step = executor.execute({} as StepBatch);
  executor.stop();
  clock.advance(20);
  await expect(step).rejects.toMatchObject({ code: 'UNAVAILABLE', message: expect.stringContaining('taken away') });
});

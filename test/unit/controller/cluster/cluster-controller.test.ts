import { join } from 'node:path';
import { credentials } from '@grpc/grpc-js';
import { expect, it, vi } from 'vitest';
import { type ClusterController, startClusterController } from '../../../../controller/cluster/cluster-controller.ts';
import { compileModel } from '../../../../controller/model/compile.ts';
import { defaultConstraints } from '../../../../controller/planner/input/input.ts';
import { MemoryBus } from '../../../../platform/bus/memory-bus.ts';
import { systemClock } from '../../../../platform/process/clock.ts';

const directory = join(import.meta.dirname, '../../../fixtures/golden/mixtral');
const { spec } = await compileModel(directory);

function startController(bus: MemoryBus): Promise<ClusterController> {
  return startClusterController({
    ...{ bus, cluster: 'test', id: 'c1', directory, spec, weights: 'f32', maxModelLen: 64 },
    ...{
      maxNumSeqs: 4,
      maxNumBatchedTokens: 64,
      leastKvBlocks: 4,
      minWorkers: 1,
      verifyWeights: true,
      rebalance: 'auto',
    },
    constraints: { ...defaultConstraints, kvBlocks: 16, blockSize: 4 },
    credentials: credentials.createInsecure(),
    onError: (what, error) => expect.fail(`${what}: ${String(error)}`),
  });
}

it('a controller without workers takes the lead, says why it cannot answer, and counts failures that members report', async () => {
  const bus = new MemoryBus({ clock: systemClock, onError: (error) => expect.fail(error) });
  const controller = await startController(bus);
  await vi.waitFor(() => expect(controller.leads()).toBe(true), { timeout: 20_000 });
  expect(controller.obstacles()).not.toEqual([]);
  expect(controller.patient()).toBe(false);
  controller.events.publish({ code: 'PEER_LOST', severity: 'warning', subject: 'worker/w1', message: 'lost' });
  await vi.waitFor(() => expect(controller.status().failures).toMatchObject({ PEER_LOST: 1 }), { timeout: 20_000 });
  expect(controller.status().events?.map(({ code }) => code)).toContain('LEADER');
  await controller.close();
  await bus.close();
});

import { afterEach, expect, it, vi } from 'vitest';
import { goldenFolder, readGoldens } from '../../e2e/golden.ts';
import { collect, collected, runRequest } from '../../unit/worker/engine/run-request.ts';
import { type LocalCluster, startLocalCluster } from './local-cluster.ts';

let cluster: LocalCluster | undefined;
afterEach(() => cluster?.close());

it('of two workers under one id the newer one is used, and the older one says so and leaves', async () => {
  cluster = await startLocalCluster({
    directory: goldenFolder('mixtral'),
    workers: [
      { id: 's1', roles: ['stage'] },
      { id: 'e1', roles: ['expert'] },
    ],
  });
  await cluster.settled();
  const older = cluster.workers.get('e1')!;
  const newer = await cluster.addWorker({ id: 'e1', roles: ['expert'] });
  const { errors, controller } = cluster;
  await vi.waitFor(() =>
    expect(errors).toContainEqual(
      expect.stringMatching(
        /^fault: Error: --id e1: process \d+ on e1 at 127\.0\.0\.1:\d+ has joined under the same id/,
      ),
    ),
  );
  expect(errors.filter((line) => line.startsWith('fault'))).toHaveLength(1);
  await older.close();
  expect(controller.view.workers.get('e1')?.address).toBe(newer.address);
  await vi.waitFor(
    () => {
      const report = controller.view.reports.get('e1');
      expect([report?.state, report?.startedAtMs]).toEqual([
        'WORKER_STATE_READY',
        controller.view.workers.get('e1')?.startedAtMs,
      ]);
    },
    { timeout: 15_000 },
  );
  await cluster.settled();
  const { prompt, continuation } = readGoldens('mixtral')[0]!;
  const request = runRequest('r', prompt, { maxTokens: continuation.length, ignoreEos: true });
  const pipeline = controller.router.pick(request, new Set())!;
  const { tokens } = await collect(pipeline.run(request, new AbortController().signal), collected(1));
  expect(tokens).toEqual([continuation]);
});

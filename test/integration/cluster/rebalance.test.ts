import { afterEach, expect, it, vi } from 'vitest';
import { imbalance } from '../../../controller/cluster/load/expert-load.ts';
import { goldenFolder, readGoldens } from '../../e2e/golden.ts';
import { collect, collected, runRequest } from '../../unit/worker/engine/run-request.ts';
import { type LocalCluster, startLocalCluster, type WorkerSetup } from './local-cluster.ts';

const never = new AbortController().signal;
const expert = (id: string): WorkerSetup => ({ id, roles: ['expert'] });

let cluster: LocalCluster | undefined;
afterEach(async () => {
  await cluster?.close();
  cluster = undefined;
});

it('experts follow traffic that favours a few of them, without an error or another token', async () => {
  cluster = await startLocalCluster({
    directory: goldenFolder('qwen3_moe'),
    workers: [{ id: 's1', roles: ['stage'] }, expert('e1'), expert('e2')],
    redundancy: 0.5,
    rebalance: 'auto',
  });
  await cluster.settled();
  const { controller } = cluster;
  // One text over and over: its tokens' experts have all the load.
  const { prompt, continuation } = readGoldens('qwen3_moe')[0]!;
  let requests = 0;
  const ended = new AbortController();
  const client = async (): Promise<void> => {
    while (!ended.signal.aborted) {
      const request = runRequest(`r${requests++}`, prompt, { maxTokens: continuation.length, ignoreEos: true });
      const pipeline = controller.router.pick(request, new Set());
      if (pipeline === null) throw new Error('no pipeline is ready');
      const { tokens } = await collect(pipeline.run(request, never), collected(1));
      expect(tokens[0]).toEqual(continuation);
    }
  };
  const clients = Promise.all([client(), client(), client(), client()]);
  const first = controller.view.committed!;
  const followed = vi.waitFor(
    () => {
      const { view, events } = controller;
      expect(events.recent(100).filter(({ code }) => code === 'EXPERTS_REBALANCED')).not.toEqual([]);
      expect(view.committed?.epoch).toBe(view.target?.epoch);
      expect(controller.status().rebalance?.last?.loads).toBeGreaterThan(0);
    },
    { timeout: 60_000, interval: 50 },
  );
  await Promise.race([followed, clients]);
  await followed;
  ended.abort();
  await clients;
  const { load = [] } = controller.status();
  const rates = load.map(({ layer = 0, expertRows = [] }) => ({ layer, expertRows: expertRows.map(Number) }));
  const sum = (plan: typeof first): number => rates.reduce((all, layer) => all + imbalance(plan, layer), 0);
  expect(sum(controller.view.committed!)).toBeLessThan(sum(first));
  expect(cluster.failures.map(({ message }) => message)).toEqual([]);
  expect(cluster.coldLoads).toEqual([]);
  expect(cluster.errors).toEqual([]);
}, 120_000);

import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { StatusJson } from '../../../controller/cli/operate/cluster-json.ts';
import { root, until } from '../server.ts';
import { Cluster, clusterTests } from './cluster.ts';
import { healthOf } from './health.ts';
import { Load } from './load.ts';

const model = join(root, 'models/clerk');
const stage = ['--roles', 'stage'];
const expert = ['--roles', 'expert'];

/** Says what was measured: a busy machine is slower than any that serves. */
function tell(what: string, ms: number): void {
  process.stderr.write(`${what}: ${ms.toFixed(0)} ms\n`);
}

async function msUntil<T>(since: number, look: () => Promise<T>, holds: (value: T) => boolean): Promise<number> {
  await until(look, holds);
  return performance.now() - since;
}

const ready = (cluster: Cluster, controller = 0): Promise<{ readonly status: number; readonly text: string }> =>
  cluster.request(`${cluster.urls[controller]}/ready`);

const stateOf = ({ workers }: StatusJson, id: string): string | undefined =>
  workers.find((worker) => worker.id === id)?.state;

describe.skipIf(clusterTests.skip)(`what is seen of workers${clusterTests.suffix}`, () => {
  it('the death of the only lead is seen without a request, by every controller, long before its heartbeats end', async () => {
    await using cluster = await Cluster.start({ model, controllers: 2, workers: { s1: stage, e1: expert } });
    const grpc = cluster.controllers.map(({ line }) => line.grpc);
    for (const address of grpc)
      await until(
        () => healthOf(address),
        (health) => health === 'SERVING',
      );
    await cluster.worker('s1').signal('SIGKILL');
    const killed = performance.now();
    const seen = await Promise.all(
      [0, 1].flatMap((controller) => [
        msUntil(
          killed,
          () => ready(cluster, controller),
          ({ status }) => status === 503,
        ),
        msUntil(
          killed,
          () => healthOf(grpc[controller] ?? ''),
          (health) => health === 'NOT_SERVING',
        ),
        msUntil(
          killed,
          () => cluster.status(controller),
          (status) => stateOf(status, 's1') === 'lost',
        ),
        msUntil(
          killed,
          () => cluster.request(`${cluster.urls[controller]}/metrics`),
          ({ text }) => /^conclave_workers\{state="lost"\} 1$/m.test(text),
        ),
        msUntil(
          killed,
          () => cluster.status(controller),
          ({ events }) => events.some(({ code, subject }) => code === 'WORKER_LOST' && subject === 'worker/s1'),
        ),
      ]),
    );
    tell('the death of the only lead was seen everywhere after', Math.max(...seen));
    // Its heartbeats live for 5 s: who waits for them cannot be as fast.
    expect(Math.max(...seen)).toBeLessThan(5_000);
    const { text } = await ready(cluster);
    expect(JSON.parse(text)).toMatchObject({
      ready: false,
      reasons: [expect.stringMatching(/^s1, which leads pipeline p0, is lost: connect ECONNREFUSED 127\.0\.0\.1:\d+/)],
    });
    await cluster.startWorker('s1');
    await cluster.untilReady();
    await cluster.untilSettled();
    const { events } = await cluster.status();
    expect(events.filter(({ code }) => code === 'WORKER_LOST')).toHaveLength(1);
  });

  it('a lead that is killed for good is replaced at once, and what ran goes on', async () => {
    await using cluster = await Cluster.start({ model, workers: { s1: stage, s2: stage, e1: expert } });
    const before = await cluster.status();
    const lead = before.workers.find(({ id, weightBytes }) => id.startsWith('s') && weightBytes > 0)?.id ?? '';
    const load = await Load.prepare({ urls: cluster.urls, model: cluster.model, clients: 8 });
    load.start();
    await load.measure(1_000);
    await cluster.worker(lead).signal('SIGKILL');
    const killed = performance.now();
    const lost = msUntil(
      killed,
      () => cluster.status(),
      (status) => stateOf(status, lead) === 'lost',
    );
    const replaced = msUntil(
      killed,
      () => cluster.status(),
      ({ plan, rollout }) => plan.epoch > before.plan.epoch && rollout.phase === 'complete',
    );
    tell('a lead was seen to be dead after', await lost);
    tell('a lead that was killed for good was replaced after', await replaced);
    // Without evidence its heartbeat alone would have lived so long.
    expect(await replaced).toBeLessThan(5_000);
    const during = await load.stop();
    expect([during.failures, during.changed]).toEqual([[], []]);
    expect(during.requests).toBeGreaterThan(0);
    tell('the longest gap between two tokens', during.gapsMs.at(-1) ?? 0);
    // It stays listed, with since when and why, until somebody forgets it.
    const { workers } = await cluster.status();
    expect(workers.find(({ id }) => id === lead)).toMatchObject({
      state: 'lost',
      error: expect.stringContaining('ECONNREFUSED'),
      missingSince: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
    });
  });
});

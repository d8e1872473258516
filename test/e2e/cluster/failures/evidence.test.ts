import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { StatusJson } from '../../../../app/cli/operate/cluster-json.ts';
import { root, until } from '../../server.ts';
import { Cluster, clusterTests } from '../harness/cluster.ts';
import { healthOf } from '../harness/health.ts';
import { Load } from '../harness/load.ts';

const model = join(root, 'models/clerk');
const stage = ['--roles', 'stage'];
const expert = ['--roles', 'expert'];

/** Prints what was measured: a busy machine is slower than any that serves. */
function report(what: string, ms: number): void {
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
    report('the death of the only lead was seen everywhere after', Math.max(...seen));
    // Its heartbeats live for 5 s: who waits for them cannot be as fast.
    expect(Math.max(...seen)).toBeLessThan(5_000);
    const { text } = await ready(cluster);
    const { reasons } = JSON.parse(text) as { readonly reasons: readonly string[] };
    expect(reasons[0]).toMatch(/^s1, which leads pipeline p0, is lost: connect ECONNREFUSED 127\.0\.0\.1:\d+/);
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
    const load = await Load.prepare({ ...cluster.asked, clients: 8 });
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
    report('a lead was seen to be dead after', await lost);
    report('a lead that was killed for good was replaced after', await replaced);
    // Without evidence its heartbeat alone would have lived so long.
    expect(await replaced).toBeLessThan(5_000);
    const during = await load.stop();
    expect([during.failures, during.changed]).toEqual([[], []]);
    expect(during.requests).toBeGreaterThan(0);
    report('the longest gap between two tokens', during.gapsMs.at(-1) ?? 0);
    // It stays listed, with since when and why, until somebody forgets it.
    const { workers } = await cluster.status();
    expect(workers.find(({ id }) => id === lead)).toMatchObject({
      state: 'lost',
      error: expect.stringContaining('ECONNREFUSED'),
      missingSince: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
    });
  });

  it('a lead that stands still is not taken for dead: only the end of its heartbeats moves what it has', async () => {
    await using cluster = await Cluster.start({ model, workers: { s1: stage, s2: stage, e1: expert } });
    const before = await cluster.status();
    const lead = before.workers.find(({ id, weightBytes }) => id.startsWith('s') && weightBytes > 0)?.id ?? '';
    await cluster.worker(lead).signal('SIGSTOP');
    const after = await cluster.untilStatus(({ plan }) => plan.epoch > before.plan.epoch);
    expect(after.workers.find(({ id }) => id === lead)).toMatchObject({
      state: 'lost',
      error: 'its heartbeats have ended',
    });
    await cluster.worker(lead).signal('SIGCONT');
    await cluster.untilStatus((status) => stateOf(status, lead) !== 'lost');
    const { events } = await cluster.status();
    expect(events.map(({ code }) => code)).toContain('WORKER_RETURNED');
  });

  it('lost workers are listed until they are forgotten, and nothing is forgotten that is there', async () => {
    await using cluster = await Cluster.start({ model, workers: { s1: stage, e1: expert, e2: expert } });
    await cluster.worker('e2').signal('SIGKILL');
    const { workers } = await cluster.untilStatus(
      (status) => stateOf(status, 'e2') === 'lost' && !names(status, 'e2') && status.rollout.phase === 'complete',
    );
    expect(workers.find(({ id }) => id === 'e2')).toMatchObject({ missingSince: expect.any(String), weightBytes: 0 });
    await expect(cluster.operate('forget', 'e1')).rejects.toThrow(/e1.* sends heartbeats/);
    await expect(cluster.operate('forget', 'e9')).rejects.toThrow(/no lost worker "e9"; there are: e2/);
    await cluster.operate('forget', 'e2');
    await cluster.untilStatus(({ events }) =>
      events.some(({ code, message }) => code === 'WORKER_FORGOTTEN' && message.includes('by local operator')),
    );
    await cluster.untilStatus((status) => stateOf(status, 'e2') === undefined);
    await cluster.startWorker('e2');
    await cluster.untilStatus((status) => stateOf(status, 'e2') === 'ready');
  });

  it('the death of the only lead is seen while NATS is away, and its return when NATS is back', async () => {
    await using cluster = await Cluster.start({ model, workers: { s1: stage, e1: expert } });
    await cluster.nats.signal('SIGKILL');
    await cluster.untilStatus(({ bus }) => bus === 'reconnecting');
    expect((await ready(cluster)).status).toBe(200);
    await cluster.worker('s1').signal('SIGKILL');
    await until(
      () => ready(cluster),
      ({ status }) => status === 503,
    );
    expect(stateOf(await cluster.status(), 's1')).toBe('lost');
    await cluster.nats.restart();
    await cluster.untilStatus(({ bus }) => bus === 'connected');
    await cluster.startWorker('s1');
    await cluster.untilReady();
    await cluster.post('/v1/completions', { model: cluster.model, prompt: '1 + 1 =', max_tokens: 4 });
  });

  it('all workers may die, and come back', async () => {
    await using cluster = await Cluster.start({ model, workers: { s1: stage, e1: expert } });
    await Promise.all(['s1', 'e1'].map((id) => cluster.worker(id).signal('SIGKILL')));
    await cluster.untilStatus(({ workers }) => workers.every(({ state }) => state === 'lost'));
    expect((await ready(cluster)).status).toBe(503);
    await Promise.all(['s1', 'e1'].map((id) => cluster.startWorker(id)));
    await cluster.untilReady();
    await cluster.untilSettled();
    await cluster.post('/v1/completions', { model: cluster.model, prompt: '1 + 1 =', max_tokens: 4 });
  });
});

const names = ({ workers }: StatusJson, id: string): boolean =>
  workers.some((worker) => worker.id === id && worker.weightBytes > 0);

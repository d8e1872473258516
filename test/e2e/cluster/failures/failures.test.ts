import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { root } from '../../server.ts';
import { Cluster, clusterTests } from '../harness/cluster.ts';
import { Load, type LoadReport } from '../harness/load.ts';

const model = join(root, 'models/clerk');
const clients = 32;
const stage = ['--roles', 'stage'];
const expert = ['--roles', 'expert'];

function longestGap({ gapsMs }: LoadReport): number {
  return gapsMs.at(-1) ?? 0;
}

/** Nothing was lost, repeated or changed, and there was something. */
function expectUnharmed(report: LoadReport): void {
  expect(report.failures).toEqual([]);
  expect(report.changed).toEqual([]);
  expect(report.requests).toBeGreaterThan(0);
}

interface Loaded {
  readonly load: Load;
  /** Longest milliseconds between tokens while nothing was wrong. */
  readonly steadyMs: number;
}

async function underLoad(cluster: Cluster): Promise<Loaded> {
  const load = await Load.prepare({ ...cluster.asked, clients });
  load.start();
  await load.answered(clients); // Prompts come into the cache.
  load.take();
  await load.answered(clients);
  const steady = load.take();
  expectUnharmed(steady);
  return { load, steadyMs: longestGap(steady) };
}

/** Prints what was measured. No bound is asserted: how long a gap is, a busy machine decides. */
function report(what: string, during: number, steady: number): void {
  process.stderr.write(`${what}: longest gap ${during.toFixed(0)} ms, steady ${steady.toFixed(0)} ms\n`);
}

const kills = 10;

describe.skipIf(clusterTests.skip)(`32 streams on the demo model${clusterTests.suffix}`, () => {
  it('notice nothing of expert workers that are killed again and again, with two replicas', async () => {
    await using cluster = await Cluster.start({
      model,
      controllerFlags: ['--expert-replicas', '2'],
      workers: { s1: stage, e1: expert, e2: expert, e3: expert },
    });
    const { load, steadyMs } = await underLoad(cluster);
    const ids = ['e1', 'e2', 'e3'];
    let longest = 0;
    for (let kill = 0; kill < kills; kill++) {
      const id = ids[Math.floor(Math.random() * ids.length)] ?? 'e1';
      await sleep(Math.random() * 300);
      await cluster.worker(id).signal('SIGKILL');
      await cluster.startWorker(id);
      await cluster.untilSettled();
      const during = load.take();
      expectUnharmed(during);
      longest = Math.max(longest, longestGap(during));
    }
    expectUnharmed(await load.stop());
    const { failures } = await cluster.status();
    // With another replica nothing had to be loaded.
    expect(failures['COLD_LOAD']).toBeUndefined();
    // Every kill that met a dispatch was logged once, with the requests that it made late, and counted.
    const logged = cluster
      .worker('s1')
      .log.split('\n')
      .filter((line) => line.includes('"PEER_LOST"'));
    expect(logged.length).toBeGreaterThan(0);
    expect(logged.length).toBeLessThanOrEqual(kills);
    for (const line of logged) {
      const { peer, requestIds } = JSON.parse(line) as {
        readonly peer: string;
        readonly requestIds: readonly string[];
      };
      expect(ids).toContain(peer);
      expect(requestIds.length).toBeGreaterThan(0);
    }
    expect(failures['PEER_LOST']).toBeGreaterThanOrEqual(logged.length);
    const { text } = await cluster.request(`${cluster.urls[0]}/metrics`);
    expect(text).toMatch(
      new RegExp(`^conclave_cluster_failures_total\\{code="PEER_LOST"\\} ${failures['PEER_LOST']}$`, 'm'),
    );
    const { text: worker } = await cluster.request(`${cluster.worker('s1').line.metrics}/metrics`);
    expect(worker).toMatch(/^conclave_dispatch_retries_total\{code="PEER_LOST"\} [1-9]/m);
    report(`${kills} kills of expert workers`, longest, steadyMs);
  });

  it('go on when the only replica of experts is killed: the stage loads them itself', async () => {
    await using cluster = await Cluster.start({ model, workers: { s1: stage, e1: expert, e2: expert } });
    const { load, steadyMs } = await underLoad(cluster);
    await cluster.worker('e1').signal('SIGKILL');
    await load.answered(clients);
    const during = load.take();
    expectUnharmed(during);
    await cluster.untilStatus(({ failures }) => (failures['COLD_LOAD'] ?? 0) > 0);
    await cluster.startWorker('e1');
    await cluster.untilSettled();
    expectUnharmed(await load.stop());
    report('the only replica killed', longestGap(during), steadyMs);
  });

  it.each([
    { name: 'the only stage', controllerFlags: [], workers: { s1: stage, e1: expert }, killed: 's1' },
    {
      name: 'the second of two stages',
      controllerFlags: ['--pipeline-parallel-size', '2'],
      workers: { s1: stage, s2: stage, e1: expert },
      killed: 's2',
    },
    {
      name: 'a rank of a stage',
      controllerFlags: ['--tensor-parallel-size', '2'],
      workers: { s1: stage, s2: stage, e1: expert },
      killed: 's2',
    },
  ])('go on when $name is killed and started again', async ({ controllerFlags, workers, killed }) => {
    await using cluster = await Cluster.start({ model, controllerFlags, workers });
    const { load, steadyMs } = await underLoad(cluster);
    await cluster.worker(killed).signal('SIGKILL');
    await cluster.startWorker(killed);
    await cluster.untilSettled();
    await cluster.untilReady();
    await load.answered(clients);
    const during = await load.stop();
    expectUnharmed(during);
    // A lost lead is counted where requests went on without it, another part of the pipeline by the lead.
    if (killed === 's1') {
      const { text } = await cluster.request(`${cluster.urls[0]}/metrics`);
      expect(text).toMatch(/^conclave_request_resumes_total [1-9]/m);
    } else {
      await cluster.untilStatus(({ failures }) => (failures['STEP_FAILED'] ?? 0) > 0);
      expect(cluster.worker('s1').log).toMatch(
        /"code":"CACHE_LOST".*"a step failed; its sequences are computed again"/,
      );
    }
    report('stage worker killed', longestGap(during), steadyMs);
  });

  it('go on elsewhere when the only stage is killed and another worker may take it over', async () => {
    await using cluster = await Cluster.start({ model, workers: { s1: stage, s2: stage, e1: expert } });
    const before = await cluster.status();
    const lead = before.workers.find(({ id, weightBytes }) => id.startsWith('s') && weightBytes > 0)?.id ?? '';
    const { load, steadyMs } = await underLoad(cluster);
    await cluster.worker(lead).signal('SIGKILL');
    await cluster.untilStatus(({ plan, rollout }) => plan.epoch > before.plan.epoch && rollout.phase === 'complete');
    await cluster.untilReady();
    const during = await load.stop();
    expectUnharmed(during);
    report('stage worker lost for good', longestGap(during), steadyMs);
  });

  it('go on when the leading controller is killed: its clients ask the other, which leads', async () => {
    await using cluster = await Cluster.start({
      model,
      controllers: 2,
      workers: { s1: stage, e1: expert, e2: expert },
    });
    const { load } = await underLoad(cluster);
    const { leader } = await cluster.status();
    const leading = cluster.controllers.findIndex(({ line }) => line.id === leader);
    const other = cluster.controllers[1 - leading]?.line.id;
    await cluster.controllers[leading]?.signal('SIGKILL');
    const killedAt = performance.now();
    await cluster.untilStatus((status) => status.leader === other);
    const movedMs = performance.now() - killedAt;
    await cluster.scale(2);
    const during = await load.stop();
    expectUnharmed(during);
    expect(during.reconnects).toBeGreaterThan(0);
    process.stderr.write(`the lease moved after ${movedMs.toFixed(0)} ms\n`);
  });

  it('go on when nats-server is killed and comes back after 5 s', async () => {
    await using cluster = await Cluster.start({
      model,
      controllerFlags: ['--expert-replicas', '2'],
      workers: { s1: stage, e1: expert, e2: expert },
    });
    const { load, steadyMs } = await underLoad(cluster);
    const before = await cluster.status();
    await cluster.nats.signal('SIGKILL');
    await sleep(2_500);
    const ready = await fetch(`${cluster.urls[0]}/ready`);
    expect(ready.status).toBe(200);
    expect(await ready.json()).toMatchObject({ ready: true, notices: [expect.stringContaining('bus')] });
    expect((await cluster.status()).bus).toBe('reconnecting');
    for (const url of [cluster.urls[0], cluster.worker('s1').line.metrics]) {
      expect((await cluster.request(`${url}/metrics`)).text).toMatch(/^conclave_bus_connected 0$/m);
    }
    await sleep(2_500);
    await cluster.nats.restart();
    await cluster.untilStatus(({ bus }) => bus === 'connected');
    await cluster.scale(1);
    const during = await load.stop();
    expectUnharmed(during);
    const after = await cluster.untilSettled();
    expect(after.workers.map(({ id, state }) => [id, state])).toEqual(before.workers.map(({ id }) => [id, 'ready']));
    report('nats-server away for 5 s', longestGap(during), steadyMs);
  });

  it('go on after nats-server and the only controller were killed, and what NATS knew is lost', async () => {
    await using cluster = await Cluster.start({ model, workers: { s1: stage, e1: expert, e2: expert } });
    const load = await Load.prepare({ ...cluster.asked, clients });
    await cluster.scale(2);
    const before = await cluster.untilSettled();
    await Promise.all([cluster.controllers[0]?.signal('SIGKILL'), cluster.nats.signal('SIGKILL')]);
    await cluster.nats.loseState();
    await cluster.nats.restart();
    await cluster.startController('c1');
    await cluster.untilReady();
    // Workers follow no plan below the one that they had, and are the processes that they were.
    const after = await cluster.untilStatus(({ plan, rollout }) => plan.epoch > 0 && rollout.phase === 'complete');
    expect(after.plan.epoch).toBeGreaterThan(before.plan.epoch);
    expect(after.workers.map(({ id, pid }) => [id, pid])).toEqual(before.workers.map(({ id, pid }) => [id, pid]));
    load.start();
    await load.answered(clients);
    expectUnharmed(load.take());
    await cluster.scale(2);
    expectUnharmed(await load.stop());
  });

  it.each([
    { name: 'an expert worker', stopped: 'e1' },
    { name: 'the stage', stopped: 's1' },
  ])('go on when $name stands still for 3 s', async ({ stopped }) => {
    await using cluster = await Cluster.start({
      model,
      controllerFlags: ['--expert-replicas', '2'],
      workers: { s1: stage, e1: expert, e2: expert },
    });
    const { load, steadyMs } = await underLoad(cluster);
    await cluster.worker(stopped).signal('SIGSTOP');
    await sleep(3_000);
    await cluster.worker(stopped).signal('SIGCONT');
    await cluster.untilSettled();
    await load.answered(clients);
    const during = await load.stop();
    expectUnharmed(during);
    report(`${stopped} stood still for 3 s`, longestGap(during), steadyMs);
  });

  it('go on when the lead of two ranks stands still until another has its place, and wakes up', async () => {
    await using cluster = await Cluster.start({
      model,
      controllerFlags: ['--tensor-parallel-size', '2'],
      workers: { s1: stage, s2: stage, s3: stage, e1: expert },
    });
    const { load, steadyMs } = await underLoad(cluster);
    const before = await cluster.status();
    const lead = (await cluster.plan()).pipelines[0]?.stages[0]?.ranks[0]?.worker ?? '';
    await cluster.worker(lead).signal('SIGSTOP');
    await cluster.untilStatus(
      ({ plan: now, rollout }) => now.epoch > before.plan.epoch && rollout.phase === 'complete',
    );
    await cluster.untilReady();
    await load.answered(clients);
    // It goes on with the step in which it stood still: the other rank must not take that.
    await cluster.worker(lead).signal('SIGCONT');
    await load.answered(2 * clients);
    const during = await load.stop();
    expectUnharmed(during);
    report('the lead stood still and was replaced', longestGap(during), steadyMs);
  });
});

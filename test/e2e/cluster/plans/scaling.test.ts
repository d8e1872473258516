import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { root } from '../../server.ts';
import { Cluster, clusterTests } from '../harness/cluster.ts';
import { Load, type LoadReport, percentile } from '../harness/load.ts';

const model = join(root, 'models/clerk');
const stage = ['--roles', 'stage'];
const expert = ['--roles', 'expert'];
const clients = 32;
const share = 0.99;
/** Between one change and the next: long enough to see the steady state. */
const pauseMs = 1_500;

function expectUnharmed(report: LoadReport): void {
  expect(report.failures).toEqual([]);
  expect(report.changed).toEqual([]);
  expect(report.requests).toBeGreaterThan(0);
}

describe.skipIf(clusterTests.skip)(`a cluster under 32 streams${clusterTests.suffix}`, () => {
  it('scales from 1 to 3 replicas and back, takes in two workers and lets one go; nobody notices', async () => {
    await using cluster = await Cluster.start({ model, workers: { s1: stage, e1: expert, e2: expert, e3: expert } });
    const load = await Load.prepare({ ...cluster.asked, clients });
    load.start();
    await load.measure(1_000);
    // The machine may have other work at any moment, so the steady state is measured before, between and after the changes.
    const quiet: LoadReport[] = [await load.measure(pauseMs)];
    const during: LoadReport[] = [];
    const pause = async (): Promise<void> => {
      during.push(load.take());
      quiet.push(await load.measure(pauseMs));
    };

    const { plan } = await cluster.status();
    const slots = async (): Promise<number> => (await cluster.status()).plan.slots;
    await cluster.scale(3);
    expect(await slots()).toBe(3 * plan.slots);
    await pause();
    await cluster.scale(1);
    expect(await slots()).toBe(plan.slots);
    await pause();
    await Promise.all([cluster.startWorker('e4', expert), cluster.startWorker('e5', expert)]);
    await cluster.untilStatus(({ workers }) => ['e4', 'e5'].every((id) => holds(workers, id)));
    await pause();
    await cluster.drain('e1');
    const drained = (await cluster.status()).workers.find(({ id }) => id === 'e1');
    expect(drained).toMatchObject({ slots: 0, weightBytes: 0 });
    await pause();
    // A drained worker may end: nothing runs there. SIGTERM is a drain too.
    expect(await cluster.worker('e1').stop()).toBe(0);
    expect(await cluster.worker('e2').stop()).toBe(0);
    const { workers } = await cluster.untilStatus((status) => status.workers.every(({ id }) => id !== 'e2'));
    expect(workers.map(({ id }) => id)).toEqual(['e3', 'e4', 'e5', 's1']);
    await cluster.untilSettled();
    await pause();
    expectUnharmed(await load.stop());
    const all = [...quiet, ...during];
    expect(all.flatMap(({ failures, changed }) => [...failures, ...changed])).toEqual([]);
    const steady = Math.max(...quiet.map(({ gapsMs }) => percentile(gapsMs, share)));
    const gapsMs = all.slice(1).flatMap((report) => [...report.gapsMs]);
    const scaling = percentile(
      gapsMs.sort((a, b) => a - b),
      share,
    );
    process.stderr.write(`scaling: p99 gap ${scaling.toFixed(0)} ms, steady ${steady.toFixed(0)} ms\n`);
    expect(scaling).toBeLessThanOrEqual(2 * steady);
    expect((await cluster.status()).failures).toEqual({});
  });

  it.each([
    { name: 'attention over 2 ranks', controllerFlags: ['--tensor-parallel-size', '2'] },
    { name: '2 stages', controllerFlags: ['--pipeline-parallel-size', '2'] },
  ])('moves the lead of a pipeline to another worker: $name', async ({ controllerFlags }) => {
    const workers = { s1: stage, s2: stage, s3: stage, e1: expert };
    await using cluster = await Cluster.start({ model, controllerFlags, workers });
    const load = await Load.prepare({ ...cluster.asked, clients });
    const lead = async (): Promise<string> => (await cluster.plan()).pipelines[0]?.stages[0]?.ranks[0]?.worker ?? '';
    load.start();
    await load.measure(1_000);
    // What the other workers hold of the cache is written by the old lead until the new one takes over.
    for (let move = 0; move < 3; move++) {
      const from = await lead();
      await cluster.drain(from);
      expect(await lead()).not.toBe(from);
      await cluster.untilStatus(({ rollout }) => rollout.phase === 'complete');
      await cluster.cancelDrain(from);
      await cluster.untilSettled();
    }
    await load.answered(clients);
    expectUnharmed(await load.stop());
  });

  it('gives the busiest experts more copies, and one expert the copies that it is given', async () => {
    await using cluster = await Cluster.start({ model, workers: { s1: stage, e1: expert, e2: expert } });
    const load = await Load.prepare({ ...cluster.asked, clients });
    load.start();
    const busy = await cluster.untilStatus(({ load: layers }) => layers.length > 0, 20_000);
    const { slots } = busy.plan;
    await cluster.operate('scale', '--replicas', '2', '--hot', '3', '--wait', '20s');
    expect((await cluster.status()).plan.slots).toBe(slots + 3);
    await cluster.scale(1);
    await cluster.operate('scale', '--replicas', '2', '--layer', '1', '--expert', '0', '--wait', '20s');
    const copies = (await cluster.plan()).experts.map(({ layer, slots: placed }) => [
      layer,
      placed.filter(({ expert: logical }) => logical === 0).length,
    ]);
    expect(copies).toContainEqual([1, 2]);
    expect(copies.filter(([layer]) => layer !== 1).every(([, count]) => count === 1)).toBe(true);
    expectUnharmed(await load.stop());
  });

  it('refuses replicas that it has no workers for, and goes on as before', async () => {
    await using cluster = await Cluster.start({ model, workers: { s1: stage, e1: expert } });
    const { plan } = await cluster.status();
    await expect(cluster.operate('scale', '--replicas', '2')).rejects.toThrow(/2 replicas .* need 2 workers/);
    await expect(cluster.operate('drain', 'nobody')).rejects.toThrow(/no worker "nobody"; there are: e1, s1/);
    expect((await cluster.status()).plan).toEqual(plan);
  });
});

/** Whether a worker holds everything that the plan wants of it. */
function holds(workers: Awaited<ReturnType<Cluster['status']>>['workers'], id: string): boolean {
  const worker = workers.find((candidate) => candidate.id === id);
  return worker !== undefined && worker.slots > 0 && worker.slots === worker.slotsWanted && worker.state === 'ready';
}

import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { StatusJson } from '../../../../app/cli/operate/cluster-json.ts';
import { completeGolden, expectGolden } from '../../expect-golden.ts';
import { goldenFolder, readGoldens } from '../../golden.ts';
import { run } from '../../server.ts';
import { Cluster, clusterTests } from '../harness/cluster.ts';
import { damageExperts } from '../harness/damage.ts';

const family = 'mixtral';
const folder = goldenFolder(family);
const goldens = readGoldens(family);
const expert = ['--roles', 'expert'];

describe.skipIf(clusterTests.skip)(`what operators ask for${clusterTests.suffix}`, () => {
  let cluster: Cluster;
  let damaged = '';
  beforeAll(async () => {
    damaged = join(await mkdtemp(join(tmpdir(), 'conclave-requests-')), family);
    await cp(folder, damaged, { recursive: true });
    const workers = { s1: ['--roles', 'stage'], e1: expert, e2: [damaged, ...expert] };
    cluster = await Cluster.start({ model: folder, workers });
  });
  afterAll(async () => {
    await cluster.stop();
    await rm(join(damaged, '..'), { recursive: true, force: true });
  });

  const server = (): readonly string[] => ['--server', cluster.controllers[0]?.line.grpc ?? ''];
  const text = async (...command: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await run([...command, ...server()]);
    expect([code, stderr]).toEqual([0, '']);
    return stdout;
  };
  const worker = ({ workers }: StatusJson, id: string) => workers.find((entry) => entry.id === id);

  it('is shown before it is done, with moves and bytes, and with what would not fit', async () => {
    expect(await text('scale', '--replicas', '2', '--dry-run')).toMatch(
      /^e1 +\d+ \(\d.* KiB\)\n(.*\n)*\n\d+ slots would be loaded \(\d[^)]+\) and 0 freed/m,
    );
    const { code, stdout, stderr } = await run(['scale', '--replicas', '9', '--dry-run', ...server()]);
    expect([code, stdout, stderr]).toEqual([
      1,
      expect.stringContaining('would not fit: 9 replicas of an expert need 9 workers for experts; there are 2'),
      expect.stringContaining('it would be refused'),
    ]);
    const { plan, requests } = await cluster.status();
    expect([plan.epoch, requests]).toEqual([1, [expect.objectContaining({ wanted: 1, by: null, state: 'in_force' })]]);
  });

  it('stays pending, with the reason, when a worker cannot load it; the rest goes on', async () => {
    await damageExperts(damaged);
    const { code, stderr } = await run(['scale', '--replicas', '2', '--wait', '30s', ...server()]);
    expect([code, stderr]).toEqual([1, expect.stringMatching(/"2 replicas of every expert" is pending: .*checksum/)]);
    const status = await cluster.untilSettled();
    expect(status.requests).toEqual([
      expect.objectContaining({
        wanted: 2,
        actualLeast: 1,
        state: 'pending',
        by: expect.stringMatching(/^local operator \(.+@.+\)$/),
      }),
    ]);
    expect(worker(status, 'e2')).toMatchObject({
      state: 'ready',
      error: expect.stringMatching(/^gets nothing new, tried again at .*checksum/),
    });
    expect(worker(status, 'e2')?.slots).toBeGreaterThan(0);
    expect(await text('status')).toMatch(/^pending +2 replicas of every expert; there are 1 to 2, by local operator/m);
    for (const golden of goldens) expectGolden(await completeGolden(cluster, [golden.prompt]), [golden]);
  });

  it('comes into force, with an event that says so, once a healthy worker joins', async () => {
    await cluster.startWorker('e3', expert);
    const status = await cluster.untilStatus(({ requests }) => requests.every(({ state }) => state === 'in_force'));
    expect(worker(status, 'e3')?.slots).toBeGreaterThan(0);
    expect(status.requests).toEqual([expect.objectContaining({ wanted: 2, actualLeast: 2 })]);
    const events = await text('events', '--backlog', '50');
    expect(events).toMatch(
      /REQUEST_IN_FORCE requests: 2 replicas of every expert \(asked for by local operator .* was pending and is in force with plan \d+/,
    );
    expect(events).toMatch(/PLAN_PUBLISHED .*worker e3 joined; now possible: 2 replicas of every expert/);
  });

  it('may be a drain of the damaged worker, which is then said to be drained', async () => {
    await text('drain', 'e2', '--wait', '30s');
    const status = await cluster.untilStatus((now) => worker(now, 'e2')?.state === 'drained');
    expect(status.plan.reason).toMatch(/^drain e2 by local operator/);
    expect(worker(status, 'e2')).toMatchObject({ slots: 0, weightBytes: 0 });
    expect(status.requests.map(({ what, state }) => [what, state])).toEqual([
      ['2 replicas of every expert', 'in_force'],
      ['drain e2', 'in_force'],
    ]);
    await text('uncordon', 'e2');
    expect((await cluster.status()).requests).toHaveLength(1);
  });

  it('may be for the busiest experts, which are named, and for no more than there are', async () => {
    await cluster.untilStatus(({ load }) => load.length > 0);
    const shown = await text('scale', '--replicas', '1', '--hot', '2');
    expect(shown).toMatch(/^LAYER {2}EXPERT {2}ROWS\/S\n +\d+ +\d+ +\d+\.\d\n +\d+ +\d+ +\d+\.\d\n\n/);
    expect(await text('replicas')).toMatch(/1 replica of 2 experts \(layer \d+: \d+/);
    const { code, stderr } = await run(['scale', '--replicas', '2', '--hot', '10000', ...server()]);
    expect([code, stderr]).toEqual([
      2,
      expect.stringMatching(/hot: expected 1 to \d+, the experts of the model, got 10000/),
    ]);
  });

  it('lets a cordoned worker keep what it has and gives it nothing new', async () => {
    const before = worker(await cluster.untilSettled(), 'e3')?.slots ?? 0;
    await text('cordon', 'e3');
    const { code, stderr } = await run(['scale', '--replicas', '2', ...server()]);
    expect([code, stderr]).toEqual([1, expect.stringMatching(/no worker that has room .*e3 may take nothing new/)]);
    const status = await cluster.status();
    expect(worker(status, 'e3')).toMatchObject({ state: 'ready', cordoned: true, slots: before });
    await text('uncordon', 'e3');
    await text('scale', '--replicas', '2', '--wait', '30s');
    expect(worker(await cluster.status(), 'e3')?.slots).toBeGreaterThan(before);
  });

  it('and what happened is known to a controller that is started again', async () => {
    await cluster.controllers[0]?.signal('SIGKILL');
    await cluster.startController('c1');
    await cluster.untilReady();
    const events = await text('events', '--backlog', '500');
    expect(events).toMatch(/PLAN_COMMITTED plan\/1: plan 1 is in force: first plan/);
    expect(events).toMatch(/plan \d+: scale replicas 1 → 2 by local operator/);
    expect(await text('replicas')).toMatch(/2 replicas of every expert, by local operator/);
  });

  it('names both models when a worker is given another one', async () => {
    await expect(cluster.startWorker('e9', [goldenFolder('qwen3_moe'), ...expert])).rejects.toThrow(
      /model mismatch: the cluster serves "mixtral" \(.*\), .*qwen3_moe holds "qwen3_moe" \(/,
    );
  });
});

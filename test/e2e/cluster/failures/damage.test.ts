import { copyFile, cp, mkdtemp, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compileModel } from '../../../../controller/model/compile.ts';
import { completeGolden, expectGolden } from '../../expect-golden.ts';
import { goldenFolder, readGoldens } from '../../golden.ts';
import { Cluster, clusterTests } from '../harness/cluster.ts';
import { damageExperts } from '../harness/damage.ts';

const family = 'mixtral';
const folder = goldenFolder(family);
const goldens = readGoldens(family);
const expert = ['--roles', 'expert'];

let damaged = '';
beforeAll(async () => {
  damaged = join(await mkdtemp(join(tmpdir(), 'conclave-damaged-')), family);
  await cp(folder, damaged, { recursive: true });
  await damageExperts(damaged);
});
afterAll(() => rm(join(damaged, '..'), { recursive: true, force: true }));

describe.skipIf(clusterTests.skip)(`damaged weights on one worker's disk${clusterTests.suffix}`, () => {
  it('are refused, the plan is rolled back, and serving goes on', async () => {
    await using cluster = await Cluster.start({ model: folder, workers: { s1: ['--roles', 'stage'], e1: expert } });
    const before = await cluster.status();
    await cluster.startWorker('e2', [damaged, ...expert]);
    const status = await cluster.untilStatus(({ rollout }) => rollout.phase === 'rolled_back');
    expect(status.rollout.error).toMatch(/worker e2 .*checksum 0x[0-9a-f]{8}, expected 0x[0-9a-f]{8}/);
    expect(status.workers.find(({ id }) => id === 'e2')?.slots).toBe(0);
    expect(status.plan.slots).toBe(before.plan.slots);
    expect(status.failures).toMatchObject({ ROLLOUT_FAILED: 1, ROLLED_BACK: 1 });
    for (const golden of goldens) expectGolden(await completeGolden(cluster, [golden.prompt]), [golden]);

    // Mended and started again, the worker is used.
    await cluster.worker('e2').signal('SIGKILL');
    for (const { path } of (await compileModel(folder)).spec.files) {
      await copyFile(join(folder, path), join(damaged, path));
    }
    await cluster.startWorker('e2', [damaged, ...expert]);
    await cluster.untilStatus(
      ({ rollout, workers }) =>
        rollout.phase === 'complete' &&
        workers.some(({ id, slots, state }) => id === 'e2' && slots > 0 && state === 'ready'),
    );
    for (const golden of goldens) expectGolden(await completeGolden(cluster, [golden.prompt]), [golden]);
  });
});

describe.skipIf(clusterTests.skip)(
  `a stage's checkpoint that is cut short while it serves${clusterTests.suffix}`,
  () => {
    it('fails only what needs it, with an error that names the file, and ends no process', async () => {
      const cut = join(damaged, '..', 'cut');
      await cp(folder, cut, { recursive: true });
      await using cluster = await Cluster.start({
        model: folder,
        workers: { s1: [cut, '--roles', 'stage'], e1: expert },
      });
      await truncate(join(cut, 'model.safetensors'), 1_000);
      for (const golden of goldens) expectGolden(await completeGolden(cluster, [golden.prompt]), [golden]);

      // Without a replica the stage reads experts from its own checkpoint.
      await cluster.worker('e1').signal('SIGKILL');
      const [golden] = goldens;
      const body = JSON.stringify({ model: cluster.model, prompt: golden?.prompt, max_tokens: 2 });
      const { status, text } = await cluster.request(`${cluster.urls[0]}/v1/completions`, body);
      expect({ status, text }).toMatchObject({ status: 500, text: expect.stringContaining('could not be computed') });
      expect(cluster.worker('s1').log).toMatch(
        /model\.safetensors: reading \d+ bytes at \d+: the file has 1000 bytes now/,
      );

      await cluster.startWorker('e1');
      await cluster.untilSettled();
      for (const golden of goldens) expectGolden(await completeGolden(cluster, [golden.prompt]), [golden]);
      expect(cluster.worker('s1').running).toBe(true);
    });
  },
);

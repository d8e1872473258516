/** Clusters of workers on the CPU and of workers on a GPU, whose kernels run under emulation here. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { completeGolden, expectGolden, prompts } from '../expect-golden.ts';
import { goldenFolder, readGoldens } from '../golden.ts';
import { root } from '../server.ts';
import { Cluster, clusterTests } from './harness/cluster.ts';
import { Load } from './harness/load.ts';

const emulated = existsSync(join(root, 'native/build/conclave_cuda_emulated.so'));
const skip = clusterTests.skip || !emulated;
const suffix = emulated ? clusterTests.suffix : ' (npm run test:native builds the emulated GPU)';

const cpu = ['--device', 'cpu'];
const gpu = ['--device', 'cuda-emulated'];
const stage = ['--roles', 'stage'];
const expert = ['--roles', 'expert'];

const clusters = {
  'experts on GPUs': { s1: [...stage, ...cpu], e1: [...expert, ...gpu], e2: [...expert, ...gpu] },
  'the stage on a GPU': { s1: [...stage, ...gpu], e1: [...expert, ...cpu], e2: [...expert, ...cpu] },
};

describe.skipIf(skip).each(Object.entries(clusters))(`%s${suffix}`, (_, workers) => {
  const controllerFlags = ['--expert-replicas', '2'];

  it('give the results of the reference, and are shown', async () => {
    await using cluster = await Cluster.start({ model: goldenFolder('qwen2_moe'), controllerFlags, workers });
    const goldens = readGoldens('qwen2_moe');
    expectGolden(await completeGolden(cluster, prompts(goldens)), goldens);
    const { workers: shown } = await cluster.status();
    const devices = Object.fromEntries(shown.map(({ id, device }) => [id, device]));
    const wanted = Object.entries(workers).map(([id, flags]) => [
      id,
      flags.includes('cpu') ? 'cpu' : 'cuda-emulated:0',
    ]);
    expect(devices).toEqual(Object.fromEntries(wanted));
  });

  it('lose no token when an expert worker is killed', async () => {
    await using cluster = await Cluster.start({ model: join(root, 'models/clerk'), controllerFlags, workers });
    const load = await Load.prepare({ ...cluster.asked, layout: JSON.stringify(workers), clients: 4 });
    load.start();
    await load.answered(1);
    await cluster.worker('e1').signal('SIGKILL');
    await load.answered(8);
    await cluster.startWorker('e1');
    await cluster.untilSettled();
    const { failures, changed, requests } = await load.stop();
    expect({ failures, changed }).toEqual({ failures: [], changed: [] });
    expect(requests).toBeGreaterThan(8);
  });
});

describe.skipIf(skip)(`a GPU that breaks${suffix}`, () => {
  it('ends its worker, and no token is lost', async () => {
    await using cluster = await Cluster.start({
      model: join(root, 'models/clerk'),
      controllerFlags: ['--expert-replicas', '2'],
      workers: { s1: [...stage, ...cpu], e1: [...expert, ...gpu] },
    });
    const load = await Load.prepare({ ...cluster.asked, layout: 'experts on GPUs', clients: 4 });
    // As after an illegal address: every call from a certain one on fails, which is some time after the weights are loaded.
    const broken = await cluster.startWorker('e2', [...expert, ...gpu], { EMULATED_GPU_FAILS_AFTER: '4000' });
    await cluster.untilSettled();
    load.start();
    expect(await broken.ended()).toBe(1);
    expect(broken.log).toMatch(/the device computes no more: .*cudaErrorIllegalAddress/);
    await load.answered(4);
    const { failures, changed } = await load.stop();
    expect({ failures, changed }).toEqual({ failures: [], changed: [] });
  });
});

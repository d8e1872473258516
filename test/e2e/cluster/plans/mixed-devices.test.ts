/** Clusters of workers on the CPU and of workers on a GPU, whose kernels run under emulation here. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { completeGolden, expectGolden, prompts } from '../../expect-golden.ts';
import { goldenFolder, readGoldens } from '../../golden.ts';
import { root } from '../../server.ts';
import { Cluster, clusterTests } from '../harness/cluster.ts';

const emulated = existsSync(join(root, 'native/build/conclave_cuda_emulated.so'));
const skip = clusterTests.skip || !emulated;
const suffix = emulated ? clusterTests.suffix : ' (npm run test:native builds the emulated GPU)';

const cpu = ['--device', 'cpu'];
const gpu = ['--device', 'cuda-emulated'];
const stage = ['--roles', 'stage'];
const expert = ['--roles', 'expert'];

const family = 'qwen2_moe';
const goldens = readGoldens(family);
const model = goldenFolder(family);
const controllerFlags = ['--expert-replicas', '2'];

/** Asks for all prompts until `ended`, several times at once, and holds every answer against the reference; how many came. */
async function askUntil(cluster: Cluster, ended: () => boolean): Promise<number> {
  let answers = 0;
  const client = async (): Promise<void> => {
    do {
      expectGolden(await completeGolden(cluster, prompts(goldens)), goldens);
      answers++;
    } while (!ended());
  };
  await Promise.all([client(), client()]);
  return answers;
}

describe.skipIf(skip).each([
  ['experts on GPUs', { s1: [...stage, ...cpu], e1: [...expert, ...gpu], e2: [...expert, ...gpu] }],
  ['the stage on a GPU', { s1: [...stage, ...gpu], e1: [...expert, ...cpu], e2: [...expert, ...cpu] }],
])(`%s${suffix}`, (_, workers) => {
  it('give the results of the reference, are shown, and lose no token when a worker is killed', async () => {
    await using cluster = await Cluster.start({ model, controllerFlags, workers });
    const { workers: shown } = await cluster.status();
    const devices = Object.entries(workers).map(([id, flags]) => [
      id,
      flags.includes('cpu') ? 'cpu' : 'cuda-emulated:0',
    ]);
    expect(Object.fromEntries(shown.map(({ id, device }) => [id, device]))).toEqual(Object.fromEntries(devices));
    await askUntil(cluster, () => true);
    let back = false;
    const answers = askUntil(cluster, () => back);
    await cluster.worker('e1').signal('SIGKILL');
    await cluster.startWorker('e1');
    await cluster.untilSettled();
    back = true;
    expect(await answers).toBeGreaterThan(1);
  });
});

describe.skipIf(skip)(`a GPU that breaks${suffix}`, () => {
  it('ends its worker, and no token is lost', async () => {
    const workers = { s1: [...stage, ...cpu], e1: [...expert, ...gpu] };
    await using cluster = await Cluster.start({ model, controllerFlags, workers });
    // As after an illegal address: from a call on that is some time after the weights are loaded, every one fails.
    const broken = await cluster.startWorker('e2', [...expert, ...gpu], { EMULATED_GPU_FAILS_AFTER: '3000' });
    await cluster.untilSettled();
    await askUntil(cluster, () => !broken.running);
    expect(await broken.ended()).toBe(1);
    expect(broken.log).toMatch(/the device computes no more: .*cudaErrorIllegalAddress/);
    await askUntil(cluster, () => true);
  });

  it('ends its worker while it loads weights too, with the reason', async () => {
    const workers = { s1: [...stage, ...cpu], e1: [...expert, ...cpu] };
    await using cluster = await Cluster.start({ model, controllerFlags, workers });
    // The first of its calls that fails is one of those that load, which may be before it says that it has started.
    const log = await cluster.startWorker('e2', [...expert, ...gpu], { EMULATED_GPU_FAILS_AFTER: '60' }).then(
      async (broken) => {
        expect(await broken.ended()).toBe(1);
        return broken.log;
      },
      (error: unknown) => String(error),
    );
    expect(log).toMatch(/the device computes no more: weights.*cudaErrorIllegalAddress/);
    await askUntil(cluster, () => true);
  });
});

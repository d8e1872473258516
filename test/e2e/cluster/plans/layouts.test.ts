import { describe, expect, it } from 'vitest';
import { completeGolden, expectGolden, prompts } from '../../expect-golden.ts';
import { goldenFolder, readGoldens } from '../../golden.ts';
import { Cluster, clusterTests } from '../harness/cluster.ts';

const stage = ['--roles', 'stage'];
const expert = ['--roles', 'expert'];

interface Layout {
  readonly name: string;
  readonly controllerFlags: readonly string[];
  readonly workers: Readonly<Record<string, readonly string[]>>;
}

const layouts: readonly Layout[] = [
  { name: 'experts over 3 workers', controllerFlags: [], workers: { w1: [], w2: [], w3: [] } },
  {
    name: 'experts on workers of their own, 2 replicas',
    controllerFlags: ['--expert-replicas', '2'],
    workers: { s1: stage, e1: expert, e2: expert, e3: expert },
  },
  {
    name: 'attention over 2 ranks, experts over 2 workers',
    controllerFlags: ['--tensor-parallel-size', '2'],
    workers: { s1: stage, s2: stage, e1: expert, e2: expert },
  },
  {
    name: '2 stages, experts over 2 workers',
    controllerFlags: ['--pipeline-parallel-size', '2'],
    workers: { s1: stage, s2: stage, e1: expert, e2: expert },
  },
  {
    name: 'experts cut into 2 slices',
    controllerFlags: ['--expert-tensor-parallel-size', '2'],
    workers: { s1: stage, e1: expert, e2: expert },
  },
  {
    name: '2 stages of 2 ranks, experts in 2 slices with 2 replicas, on workers that hold both',
    controllerFlags: [
      ...['--tensor-parallel-size', '2', '--pipeline-parallel-size', '2'],
      ...['--expert-tensor-parallel-size', '2', '--expert-replicas', '2'],
    ],
    workers: { w1: [], w2: [], w3: [], w4: [] },
  },
];

describe.skipIf(clusterTests.skip)(`a cluster gives the results of the reference${clusterTests.suffix}`, () => {
  // The family with every part that can be split: shared experts, biases, several key/value heads.
  const family = 'qwen2_moe';
  const goldens = readGoldens(family);

  it.each(layouts)('$name', async ({ controllerFlags, workers }) => {
    await using cluster = await Cluster.start({ model: goldenFolder(family), controllerFlags, workers });
    for (const golden of goldens) expectGolden(await completeGolden(cluster, [golden.prompt]), [golden]);
    expectGolden(await completeGolden(cluster, prompts(goldens)), goldens);
    const { failures, rollout } = await cluster.status();
    expect(failures).toEqual({});
    expect(rollout.phase).toBe('complete');
  });
});

import { afterEach, describe, expect, it } from 'vitest';
import { goldenFolder, readGoldens } from '../../e2e/golden.ts';
import { collect, collected, runRequest } from '../../unit/engine/run-request.ts';
import { type LocalCluster, startLocalCluster, type WorkerWish } from './local-cluster.ts';

const never = new AbortController().signal;
/** The required bound; sums in another order differ far less. */
const tolerance = 1e-3;

const stage = (id: string): WorkerWish => ({ id, roles: ['stage'] });
const expert = (id: string): WorkerWish => ({ id, roles: ['expert'] });

const layouts = [
  { name: 'experts over 3 workers', workers: [stage('s1'), expert('e1'), expert('e2'), expert('e3')] },
  { name: 'experts with 2 replicas', workers: [stage('s1'), expert('e1'), expert('e2'), expert('e3')], replicas: 2 },
  {
    name: 'attention over 2 ranks, experts over 2 workers',
    workers: [stage('s1'), stage('s2'), expert('e1'), expert('e2')],
    layout: { tensorParallelSize: 2 },
  },
  {
    name: '2 stages, experts over 2 workers',
    workers: [stage('s1'), stage('s2'), expert('e1'), expert('e2')],
    layout: { pipelineParallelSize: 2 },
  },
  {
    name: 'experts in 2 slices',
    workers: [stage('s1'), expert('e1'), expert('e2')],
    layout: { expertTensorParallelSize: 2 },
  },
  {
    name: '2 stages of 2 ranks, experts in 2 slices with 2 replicas, micro-batches',
    workers: [stage('s1'), stage('s2'), stage('s3'), stage('s4'), expert('e1'), expert('e2'), expert('e3')],
    layout: { tensorParallelSize: 2, pipelineParallelSize: 2, expertTensorParallelSize: 2 },
    replicas: 2,
    overlapRows: 2,
  },
  { name: 'every worker a stage with its experts', workers: [stage('s1')] },
];

let cluster: LocalCluster | undefined;
afterEach(async () => {
  await cluster?.close();
  cluster = undefined;
});

// olmoe normalises queries over all heads, which ranks cannot share; its refusal is the planner's test.
describe.each(['mixtral', 'qwen2_moe', 'qwen3_moe'])('%s over workers', (family) => {
  const goldens = readGoldens(family);

  it.each(layouts)('$name: as in one process', async (layout) => {
    cluster = await startLocalCluster({ directory: goldenFolder(family), ...layout });
    await cluster.settled();
    const { router } = cluster.controller;
    const results = await Promise.all(
      goldens.map(({ prompt, continuation }, i) => {
        const limits = { maxTokens: continuation.length, ignoreEos: true, logprobs: 1, promptLogprobs: 1 };
        const request = runRequest(`r${i}`, prompt, limits);
        const pipeline = router.pick(request, new Set());
        if (pipeline === null) throw new Error('no pipeline is ready');
        return collect(pipeline.run(request, never), collected(1));
      }),
    );
    expect(cluster.failures.map(({ message }) => message)).toEqual([]);
    expect(cluster.coldLoads).toEqual([]);
    expect(cluster.trouble).toEqual([]);
    results.forEach(({ tokens, promptLogprobs }, i) => {
      const golden = goldens[i]!;
      expect(tokens[0]).toEqual(golden.continuation);
      golden.promptLogprobs.forEach((expected, position) => {
        const found = promptLogprobs[position + 1]?.logprob ?? Number.NaN;
        expect(Math.abs(found - expected)).toBeLessThan(tolerance);
      });
    });
  });
});

import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { goldenFolder, readGoldens } from '../../e2e/golden.ts';
import { collect, collected, runRequest } from '../../unit/worker/engine/run-request.ts';
import { type LocalCluster, startLocalCluster, type WorkerSetup } from './local-cluster.ts';

const never = new AbortController().signal;
/** The required bound; sums in another order differ far less. */
const tolerance = 1e-3;

const stage = (id: string): WorkerSetup => ({ id, roles: ['stage'] });
const expert = (id: string): WorkerSetup => ({ id, roles: ['expert'] });

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
/** Workers wait for each other as they end; meanwhile the next cluster starts. */
const closed: Promise<void>[] = [];
afterEach(() => {
  if (cluster !== undefined) closed.push(cluster.close());
  cluster = undefined;
});
afterAll(() => Promise.all(closed));

it('one sequence of a request stops alone, and its lead frees its cache', async () => {
  cluster = await startLocalCluster({
    directory: goldenFolder('qwen3_moe'),
    workers: [stage('s1'), expert('e1')],
  });
  await cluster.settled();
  const { prompt, continuation } = readGoldens('qwen3_moe')[0]!;
  const request = runRequest('r', prompt, { maxTokens: 80, ignoreEos: true }, {}, { n: 2 });
  const pipeline = cluster.controller.router.pick(request, new Set())!;
  const into = collected(2);
  let stopped = false;
  /** Sequences that ran once the end of one had come; it may still have been in a step. */
  const alone = new Set<number>();
  for await (const response of pipeline.run(request, never)) {
    into.tokens[response.index]!.push(...response.tokenIds);
    if (response.finishReason !== 'FINISH_REASON_UNSPECIFIED') into.reasons[response.index] = response.finishReason;
    if (!stopped && response.index === 1) {
      stopped = true;
      pipeline.stopSequence('r', 1);
    }
    if (into.reasons[1] !== null) alone.add(cluster.workers.get('s1')!.snapshot().engine!.running);
  }
  expect(into.reasons).toEqual(['FINISH_REASON_LENGTH', 'FINISH_REASON_STOP']);
  expect(into.tokens[0]!.slice(0, continuation.length)).toEqual(continuation);
  expect(into.tokens[1]!.length).toBeLessThan(80);
  expect(alone).toContain(1);
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
    expect(cluster.errors).toEqual([]);
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

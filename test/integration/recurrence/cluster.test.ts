// A model with states of fixed size over workers: the tokens of a plain loop, whoever holds which part, and whoever is lost.
import { setTimeout } from 'node:timers/promises';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type ResumeOptions, runResumable } from '../../../controller/gateway/resumable-run.ts';
import { compileModel } from '../../../controller/model/compile.ts';
import type { ModelSpec, RunResponse } from '../../../proto/messages.ts';
import { goldenFolder, readGoldens } from '../../e2e/golden.ts';
import { withRunningSums } from '../../unit/controller/model/running-sums.ts';
import { collect, collected, runRequest } from '../../unit/worker/engine/run-request.ts';
import { type LocalCluster, startLocalCluster, type WorkerSetup } from '../cluster/local-cluster.ts';
import { PlainModel } from './plain-model.ts';

const directory = goldenFolder('llama');
const prompts = readGoldens('llama').map(({ prompt }) => prompt);
const never = new AbortController().signal;
const stage = (id: string): WorkerSetup => ({ id, roles: ['stage'] });

let spec: ModelSpec;
let plain: PlainModel;
let cluster: LocalCluster | undefined;
beforeAll(async () => {
  spec = withRunningSums((await compileModel(directory)).spec, [0, 2]);
  plain = new PlainModel(directory, spec);
});
afterEach(async () => {
  await cluster?.close();
  cluster = undefined;
});

const request = (id: string, prompt: readonly number[], maxTokens: number) =>
  runRequest(id, prompt, { maxTokens, ignoreEos: true });

const layouts = [
  { name: 'one worker', workers: 1, layout: {} },
  { name: 'two ranks', workers: 2, layout: { tensorParallelSize: 2 } },
  { name: 'two stages', workers: 2, layout: { pipelineParallelSize: 2 } },
  {
    name: 'three stages, the second without states, micro-batches',
    workers: 3,
    layout: { pipelineParallelSize: 3 },
    overlapRows: 2,
  },
  {
    name: 'two stages of two ranks, micro-batches',
    workers: 4,
    layout: { tensorParallelSize: 2, pipelineParallelSize: 2 },
    overlapRows: 2,
  },
];

describe('a model with states over workers', () => {
  it.each(layouts)('$name: as a plain loop', async ({ workers, ...layout }) => {
    const stages = Array.from({ length: workers }, (_, i) => stage(`s${i}`));
    cluster = await startLocalCluster({ directory, spec, workers: stages, ...layout });
    await cluster.settled();
    const { router, view } = cluster.controller;
    expect(view.committed?.pipelines[0]?.stateSlots).toBe(16);
    const results = await Promise.all(
      prompts.map((prompt, i) => {
        const asked = request(`r${i}`, prompt, 20);
        return collect(router.pick(asked, new Set())!.run(asked, never), collected(1));
      }),
    );
    expect(results.map(({ tokens }) => tokens[0])).toEqual(prompts.map((prompt) => plain.continuation(prompt, 20)));
    expect(cluster.errors).toEqual([]);
  });

  it.each([
    ['the lead', 's0', { pipelineParallelSize: 2 }],
    ['a later stage', 's1', { pipelineParallelSize: 2 }],
    ['a rank', 's1', { tensorParallelSize: 2 }],
  ])('goes on as a plain loop when %s is lost and comes back', async (_, lost, layout) => {
    cluster = await startLocalCluster({ directory, spec, workers: [stage('s0'), stage('s1')], layout });
    await cluster.settled();
    const { workers, addWorker, controller } = cluster;
    const count = 40;
    let replaced: Promise<unknown> | undefined;
    const replace = async (): Promise<void> => {
      await workers.get(lost)?.close();
      await addWorker(stage(lost));
    };
    const losses: string[] = [];
    const options: ResumeOptions = {
      router: controller.router,
      maxAttempts: 100,
      maxLostMs: 120_000,
      now: () => performance.now(),
      sleep: (ms, signal) => setTimeout(ms, undefined, { signal }),
      take: () => {},
      wants: () => true,
      over: () => false,
      onLost: (id) => losses.push(id),
      onResumed: () => undefined,
    };
    const results = await Promise.all(
      prompts.map(async (prompt, i) => {
        const tokens: number[] = [];
        const take = (response: RunResponse): void => {
          tokens.push(...response.tokenIds);
          if (tokens.length >= 5) replaced ??= replace();
        };
        await runResumable(request(`r${i}`, prompt, count), never, { ...options, take });
        return tokens;
      }),
    );
    await replaced;
    expect(losses).not.toEqual([]);
    expect(results).toEqual(prompts.map((prompt) => plain.continuation(prompt, count)));
  });
});

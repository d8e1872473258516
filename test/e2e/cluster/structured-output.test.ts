import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { root } from '../server.ts';
import { Cluster, clusterTests } from './harness/cluster.ts';

const schema = {
  type: 'object',
  properties: {
    words: { type: 'array', items: { type: 'string', minLength: 3, maxLength: 8 }, minItems: 12, maxItems: 12 },
  },
  required: ['words'],
  additionalProperties: false,
};

interface Answer {
  readonly choices: readonly { readonly finish_reason: string; readonly text: string }[];
}

async function ask(cluster: Cluster, seed: number): Promise<Answer> {
  const response = await fetch(`${cluster.urls[0]}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      ...{ model: cluster.model, prompt: 'words', temperature: 2, seed, n: 2, max_tokens: 400 },
      structured_outputs: { json: schema },
    }),
  });
  expect(response.status).toBe(200);
  return (await response.json()) as Answer;
}

function expectWords({ choices }: Answer): void {
  expect(choices).toHaveLength(2);
  for (const { finish_reason, text } of choices) {
    expect(finish_reason).toBe('stop');
    const { words } = JSON.parse(text) as { readonly words: readonly string[] };
    expect(words).toHaveLength(12);
    for (const word of words) expect(Array.from(word).length).toBeGreaterThanOrEqual(3);
  }
}

describe.skipIf(clusterTests.skip)(`structured output of a pipeline${clusterTests.suffix}`, () => {
  it('is made by its last stage, the same in every run, and goes on where a stage is killed', async () => {
    await using cluster = await Cluster.start({
      model: join(root, 'models/clerk'),
      controllerFlags: ['--pipeline-parallel-size', '2'],
      workers: { s1: ['--roles', 'stage'], s2: ['--roles', 'stage'], e1: ['--roles', 'expert'] },
    });
    const seeds = [1, 2, 3, 4, 5, 6];
    const before = await Promise.all(seeds.map((seed) => ask(cluster, seed)));
    before.forEach(expectWords);
    const during = seeds.map((seed) => ask(cluster, seed));
    for (const id of ['s1', 's2']) {
      await cluster.worker(id).signal('SIGKILL');
      await cluster.startWorker(id);
      await cluster.untilSettled();
    }
    const after = await Promise.all(during);
    expect(after.map(({ choices }) => choices.map(({ text }) => text))).toEqual(
      before.map(({ choices }) => choices.map(({ text }) => text)),
    );
  });
});

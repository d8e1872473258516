// What must fit a schema is the same text wherever it is made, and whatever is lost meanwhile.
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { root, run, Server } from '../../server.ts';
import { Cluster, clusterTests } from '../harness/cluster.ts';

const model = join(root, 'models/clerk');
const stage = ['--roles', 'stage'];
const expert = ['--roles', 'expert'];
const seeds = [1, 2, 3, 4, 5, 6];
const schema = {
  type: 'object',
  properties: {
    words: { type: 'array', items: { type: 'string', minLength: 3, maxLength: 8 }, minItems: 12, maxItems: 12 },
  },
  required: ['words'],
  additionalProperties: false,
};

/** The texts of both sequences of a request. */
async function ask(url: string, seed: number): Promise<readonly string[]> {
  const response = await fetch(`${url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      ...{ model: 'clerk', prompt: 'words', temperature: 2, seed, n: 2, max_tokens: 400 },
      structured_outputs: { json: schema },
    }),
  });
  expect(response.status).toBe(200);
  const { choices } = (await response.json()) as { choices: readonly { finish_reason: string; text: string }[] };
  expect(choices.map(({ finish_reason }) => finish_reason)).toEqual(['stop', 'stop']);
  return choices.map(({ text }) => text);
}

function askAll(url: string): Promise<readonly (readonly string[])[]> {
  return Promise.all(seeds.map((seed) => ask(url, seed)));
}

/** What one process with room for all writes. */
let expected: readonly (readonly string[])[];
beforeAll(async () => {
  await using server = await Server.start(['--weights', 'f32']);
  expected = await askAll(server.url);
  for (const text of expected.flat()) {
    const { words } = JSON.parse(text) as { readonly words: readonly string[] };
    expect(words).toHaveLength(12);
    for (const word of words) expect(Array.from(word).length).toBeGreaterThanOrEqual(3);
  }
});

it('structured output is the same after preemptions', async () => {
  const { stdout } = await run(['inspect', model, '--output', 'json']);
  const { kvBytesPerToken } = JSON.parse(stdout) as { kvBytesPerToken: { f32: number } };
  // Twelve sequences of about 150 tokens do not fit.
  const room = String(512 * kvBytesPerToken.f32);
  await using server = await Server.start(['--weights', 'f32', '--max-model-len', '416', '--kv-memory', room]);
  expect(await askAll(server.url)).toEqual(expected);
  expect(await server.metric('conclave_num_preemptions_total')).toBeGreaterThan(0);
});

describe.skipIf(clusterTests.skip)(`structured output of a cluster${clusterTests.suffix}`, () => {
  it('is made by the last stage of a pipeline, and goes on where a stage is killed', async () => {
    await using cluster = await Cluster.start({
      ...{ model, controllerFlags: ['--pipeline-parallel-size', '2'] },
      workers: { s1: stage, s2: stage, e1: expert },
    });
    const during = askAll(cluster.urls[0]!);
    for (const id of ['s1', 's2']) {
      await cluster.worker(id).signal('SIGKILL');
      await cluster.startWorker(id);
      await cluster.untilSettled();
    }
    expect(await during).toEqual(expected);
  });

  it('is the same over ranks and experts, while an expert worker is killed, and when another controller leads', async () => {
    await using cluster = await Cluster.start({
      ...{ model, controllers: 2, controllerFlags: ['--tensor-parallel-size', '2', '--expert-replicas', '2'] },
      workers: { s1: stage, s2: stage, e1: expert, e2: expert },
    });
    const during = askAll(cluster.urls[0]!);
    await cluster.worker('e1').signal('SIGKILL');
    expect(await during).toEqual(expected);
    const { leader } = await cluster.status();
    const leading = cluster.controllers.findIndex(({ line }) => line.id === leader);
    const other = cluster.controllers[1 - leading]!.line;
    const meanwhile = askAll(other.http);
    await cluster.controllers[leading]?.signal('SIGKILL');
    expect(await meanwhile).toEqual(expected);
    await cluster.untilStatus((status) => status.leader === other.id);
    expect(await askAll(other.http)).toEqual(expected);
  });
});

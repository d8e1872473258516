// A request's log-probabilities have the same bits alone, beside others, streamed, and while workers die.
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { statusJson } from '../../../../app/cli/operate/cluster-json.ts';
import { withControl } from '../../../../app/cli/operate/with-control.ts';
import { findNatsServer } from '../../../integration/nats-server.ts';
import { root, Server, until } from '../../server.ts';
import { clusterTests } from '../harness/cluster.ts';

const model = join(root, 'models/clerk');
/** The program finds nats-server on PATH alone. */
const environment = { PATH: `${process.env['PATH']}:${dirname(findNatsServer() ?? '/nowhere/nats-server')}` };
/** Byte tokens of the model. */
const vocabulary = 256;
const seed = 20_261_130;
const requests = 200;
const others = 40;

/** Tokens and their log-probabilities, as many digits as the server gives. */
type Answer = readonly (readonly [token: number, logprob: number | null])[];

interface Choice {
  readonly token_ids: readonly number[];
  readonly logprobs: { readonly token_logprobs: readonly (number | null)[] } | null;
}

/** mulberry32: numbers in [0, 1). */
function random(start: number): () => number {
  let state = start;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function randomPrompts(): readonly (readonly number[])[] {
  const next = random(seed);
  return Array.from({ length: requests }, () =>
    Array.from({ length: 1 + Math.floor(next() * 40) }, () => Math.floor(next() * vocabulary)),
  );
}

function bodyOf(server: Server, prompt: readonly number[], stream: boolean): object {
  return {
    ...{ model: server.model, prompt, stream, max_tokens: 12, temperature: 0 },
    ...{ ignore_eos: true, logprobs: 0, return_token_ids: true },
  };
}

function pairs({ token_ids, logprobs }: Choice): Answer {
  return token_ids.map((token, i) => [token, logprobs?.token_logprobs[i] ?? null] as const);
}

async function complete(server: Server, prompt: readonly number[]): Promise<Answer> {
  const { choices } = await server.post<{ choices: [Choice] }>('/v1/completions', bodyOf(server, prompt, false));
  return pairs(choices[0]);
}

async function stream(server: Server, prompt: readonly number[]): Promise<Answer> {
  const response = await server.fetch('/v1/completions', bodyOf(server, prompt, true));
  const events = (await response.text()).split('\n').filter((line) => line.startsWith('data: {'));
  return events.flatMap((line) => {
    const { choices } = JSON.parse(line.slice(6)) as { choices: readonly Choice[] };
    return choices.flatMap(pairs);
  });
}

/** Answers of all prompts, `beside` + 1 of them at a time, in another order than they are given. */
async function all(
  server: Server,
  prompts: readonly (readonly number[])[],
  ask: (server: Server, prompt: readonly number[]) => Promise<Answer>,
  beside: number,
): Promise<readonly Answer[]> {
  const next = random(beside);
  const order = [...prompts.keys()].map((index) => ({ index, at: next() })).sort((a, b) => a.at - b.at);
  const answers: Answer[] = [];
  const run = async (): Promise<void> => {
    for (let job = order.pop(); job !== undefined; job = order.pop()) {
      answers[job.index] = await ask(server, prompts[job.index] ?? []);
    }
  };
  await Promise.all(Array.from({ length: beside + 1 }, run));
  return answers;
}

function status(server: Server) {
  const connection = { adminKey: null, timeout: 5_000, tls: false, tlsCa: null, tlsCert: null, tlsKey: null };
  return withControl({ ...connection, server: server.ready.grpc }, async (control) =>
    statusJson(await control.status()),
  );
}

/** Kills one worker after the other, each once the one before is back, until `done`. */
async function killWorkers(server: Server, done: () => boolean): Promise<number> {
  const next = random(1);
  let kills = 0;
  while (!done()) {
    const { workers } = await status(server);
    const victim = workers[Math.floor(next() * workers.length)];
    if (victim === undefined) throw new Error('no worker is left');
    process.kill(victim.pid, 'SIGKILL');
    kills++;
    await until(
      () => status(server),
      (now) =>
        done() || now.workers.some(({ id, pid, state }) => id === victim.id && pid !== victim.pid && state === 'ready'),
      60_000,
    );
  }
  return kills;
}

describe.skipIf(clusterTests.skip)(`a request in bf16 over 4 workers and 2 replicas${clusterTests.suffix}`, () => {
  it('has the same bits alone, beside 40 others, streamed, and while workers are killed', async () => {
    const flags = ['--weights', 'bf16', '--workers', '4', '--expert-replicas', '2', '--worker-memory', '1GiB'];
    await using server = await Server.start([model, ...flags, '--max-model-len', '128'], environment);
    const prompts = randomPrompts();
    const alone = await all(server, prompts, complete, 0);
    expect(alone.flat().every(([, logprob]) => logprob !== null)).toBe(true);
    expect(await all(server, prompts, complete, others)).toEqual(alone);
    expect(await all(server, prompts, stream, others)).toEqual(alone);
    let done = false;
    const killing = killWorkers(server, () => done);
    try {
      for (let round = 0; round < 3; round++) expect(await all(server, prompts, stream, others)).toEqual(alone);
    } finally {
      done = true;
    }
    expect(await killing).toBeGreaterThan(0);
  }, 300_000);
});

import { request } from 'node:http';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Server, until } from '../server.ts';

const warmUps = 300;
const disconnects = 1_000;
const atOnce = 20;
/** 100 KiB a request would be a leak of 98 MiB; the heap of a warm server moves by far less than a third of that. */
const allowedGrowthBytes = 32 * 2 ** 20;

let server: Server;
beforeAll(async () => {
  server = await Server.start(['--weights', 'f32']);
});
afterAll(() => server.stop());

it('1,000 clients that go away mid-stream leave no block, handle or memory behind', async () => {
  await disconnectMany(warmUps);
  await untilIdle();
  const before = { handles: server.handles(), residentBytes: server.residentBytes() };
  await disconnectMany(disconnects);
  await untilIdle();
  await until(
    () => server.handles(),
    (handles) => handles <= before.handles + 2,
  );
  expect(server.residentBytes() - before.residentBytes).toBeLessThan(allowedGrowthBytes);
  const answer = await server.post<{ choices: [{ message: { content: string } }] }>('/v1/chat/completions', {
    model: 'clerk',
    messages: [{ role: 'user', content: 'What is 974 + 662?' }],
    temperature: 0,
  });
  expect(answer.choices[0].message.content).toBe('974 + 662 = 1636');
});

/** No sequence runs or waits, and no KV block is held but those kept for reuse. */
async function untilIdle(): Promise<void> {
  for (const name of ['num_requests_running', 'num_requests_waiting', 'kv_cache_usage_ratio']) {
    await until(
      () => server.metric(`conclave_${name}`),
      (value) => value === 0,
    );
  }
}

async function disconnectMany(count: number): Promise<void> {
  const left = Array.from({ length: count }).entries();
  const client = async (): Promise<void> => {
    for (const [number] of left) await disconnectOnce(number);
  };
  await Promise.all(Array.from({ length: atOnce }, client));
}

/**
 * Starts a long stream, reads some of it, and goes away. On a connection of its own: a pool would open new ones in advance,
 * and they would be counted as handles that the server forgot.
 */
function disconnectOnce(number: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json' };
    const sent = request(`${server.url}/v1/completions`, { method: 'POST', headers, agent: false }, (response) => {
      if (response.statusCode !== 200) reject(new Error(`status ${response.statusCode}`));
      let chunks = 0;
      response.on('end', () => reject(new Error('the stream ended before its client left')));
      response.on('error', () => {});
      response.on('data', () => {
        if (chunks++ < number % 3) return;
        response.removeAllListeners('end');
        sent.destroy();
        resolve();
      });
    });
    sent.on('error', reject);
    const prompt = `Request ${number}: count from 1 to 99.`;
    sent.end(JSON.stringify({ model: 'clerk', prompt, max_tokens: 400, ignore_eos: true, stream: true }));
  });
}

import { credentials, Metadata } from '@grpc/grpc-js';
import { expect, it } from 'vitest';
import { conclave } from '../../../proto/messages.ts';
import { goldenFolder } from '../golden.ts';
import { Server, until } from '../server.ts';

const model = goldenFolder('mixtral');
const secret = 'swordfish';

interface Line {
  readonly level: number;
  readonly msg: string;
  readonly requestId?: string;
}

function lines(server: Server): readonly Line[] {
  return server.stderr
    .split('\n')
    .filter((line) => line.startsWith('{') && line.endsWith('}'))
    .map((line) => JSON.parse(line) as Line);
}

async function askOnce(server: Server): Promise<void> {
  const headers = { 'Content-Type': 'application/json', Authorization: `Bearer ${secret}` };
  const body = JSON.stringify({ model: server.model, prompt: `${secret}?`, max_tokens: 1 });
  const request = { method: 'POST', headers: { ...headers, 'X-Request-Id': 'mine-1' }, body };
  expect((await server.fetch(`/v1/completions?key=${secret}`, undefined, request)).status).toBe(200);
  const client = new conclave.InferenceService(server.ready.grpc, credentials.createInsecure());
  const metadata = new Metadata();
  metadata.set('authorization', `Bearer ${secret}`);
  metadata.set('x-request-id', 'mine-2');
  const call = client.generate({ text: secret, limits: { maxTokens: 1 } }, metadata);
  for await (const _ of call) {
    // Only its end counts.
  }
  await new Promise((resolve) => client.getModel({}, resolve));
  client.close();
}

it('at level debug has a line for every HTTP request and gRPC call, without bodies and keys', async () => {
  await using server = await Server.start([model, '--log-level', 'debug', '--api-key', secret]);
  await askOnce(server);
  const logged = await until(
    () => lines(server).filter(({ msg }) => msg === 'HTTP' || msg === 'gRPC'),
    (found) => found.length === 3,
  );
  const ms = expect.any(Number);
  expect(logged).toEqual([
    expect.objectContaining({ method: 'POST', path: '/v1/completions', status: 200, ms, requestId: 'mine-1' }),
    expect.objectContaining({ path: '/conclave.v1.InferenceService/Generate', status: 0, ms, requestId: 'mine-2' }),
    expect.objectContaining({ path: '/conclave.v1.InferenceService/GetModel', status: 16, ms }),
  ]);
  for (const { level } of logged) expect(level).toBe(20);
  expect(server.stderr).not.toContain(secret);
});

it('is not written otherwise', async () => {
  await using server = await Server.start([model, '--api-key', secret]);
  await askOnce(server);
  expect(lines(server).filter(({ msg }) => msg === 'HTTP' || msg === 'gRPC')).toEqual([]);
});

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ChannelCredentials, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { conclave } from '../../../../proto/messages.ts';
import { completeGolden, expectGolden } from '../../expect-golden.ts';
import { goldenFolder, readGoldens } from '../../golden.ts';
import { run } from '../../server.ts';
import { Cluster, clusterTests, type TlsPaths } from '../harness/cluster.ts';

const model = goldenFolder('mixtral');
const workers = { s1: ['--roles', 'stage'], e1: ['--roles', 'expert'] };
const adminKey = 'open-sesame';

let folder = '';
let tls: TlsPaths;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'conclave-tls-'));
  tls = { certificate: join(folder, 'cert.pem'), key: join(folder, 'key.pem') };
  execFileSync(
    'openssl',
    [
      ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1', '-keyout', tls.key, '-out', tls.certificate],
      ...['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost'],
    ],
    { stdio: 'ignore' },
  );
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** How a call ends that sends one dispatch, or one request to run, to a worker. */
function callWorker(address: string, channel: ChannelCredentials, metadata: Metadata): Promise<readonly status[]> {
  const deadline = Date.now() + 10_000;
  const end = (call: {
    on(event: 'error', listener: (error: ServiceError) => void): unknown;
    on(event: 'data' | 'end', listener: () => void): unknown;
  }): Promise<status> =>
    new Promise((resolve) => {
      call.on('data', () => resolve(status.OK));
      call.on('end', () => resolve(status.OK));
      call.on('error', ({ code }) => resolve(code));
    });
  const shards = new conclave.ShardService(address, channel);
  const stages = new conclave.StageService(address, channel);
  const forward = shards.Forward(metadata, { deadline });
  forward.write({ dispatchId: 1, operator: 'OPERATOR_FFN', dtype: 'DATA_TYPE_F32' });
  const request = stages.Run({ requestId: 'r', promptTokenIds: [1], n: 1, limits: { maxTokens: 1 } }, metadata, {
    deadline,
  });
  return Promise.all([end(forward), end(request)]).finally(() => {
    shards.close();
    stages.close();
  });
}

describe.skipIf(clusterTests.skip)(`members only${clusterTests.suffix}`, () => {
  it('may dispatch to a worker, and only operators may change the cluster', async () => {
    await using cluster = await Cluster.start({
      model,
      workers,
      adminKey,
      controllerFlags: ['--api-key', 'client-key'],
    });
    const { address } = cluster.worker('s1').line;
    const stranger = new Metadata();
    const guesser = new Metadata();
    guesser.set('conclave-member-key', 'guessed');
    for (const metadata of [stranger, guesser]) {
      expect(await callWorker(address, credentials.createInsecure(), metadata)).toEqual([
        status.UNAUTHENTICATED,
        status.UNAUTHENTICATED,
      ]);
    }
    const server = cluster.controllers[0]?.line.grpc ?? '';
    for (const key of [[], ['--admin-key', 'client-key'], ['--admin-key', 'wrong']]) {
      const refused = await run(['status', '--server', server, ...key]);
      expect(refused.code).toBe(1);
      expect(refused.stderr).toContain('does not let this operator in');
    }
    expect((await cluster.status()).workers).toHaveLength(2);
    expect((await cluster.request(`${cluster.urls[0]}/v1/models`)).status).toBe(401);
  });

  it('are those with a certificate, when everything is encrypted', async () => {
    await using cluster = await Cluster.start({ model, workers, tls });
    const [golden] = readGoldens('mixtral');
    if (golden === undefined) throw new Error('no golden');
    expectGolden(await completeGolden(cluster, [golden.prompt]), [golden]);
    expect(cluster.urls[0]).toMatch(/^https:/);
    expect(JSON.parse(await cluster.operate('status'))).toMatchObject({ bus: 'connected', model: 'mixtral' });

    const authority = readFileSync(tls.certificate);
    const { address } = cluster.worker('e1').line;
    const plain = credentials.createInsecure();
    const anonymous = credentials.createSsl(authority);
    const known = credentials.createSsl(authority, readFileSync(tls.key), authority);
    const refused = [status.UNAVAILABLE, status.UNAVAILABLE];
    expect(await callWorker(address, plain, new Metadata())).toEqual(refused);
    expect(await callWorker(address, anonymous, new Metadata())).toEqual(refused);
    // A certificate alone makes no member.
    expect(await callWorker(address, known, new Metadata())).toEqual([status.UNAUTHENTICATED, status.UNAUTHENTICATED]);
    const server = cluster.controllers[0]?.line.grpc ?? '';
    expect((await run(['status', '--server', server])).code).toBe(1);
    expect((await run(['status', '--server', server, '--tls-ca', tls.certificate])).code).toBe(1);
  });
});

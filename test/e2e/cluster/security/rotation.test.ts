import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { credentials, Metadata, status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { conclave } from '../../../../proto/messages.ts';
import { Authority, type CertificateFiles } from '../../../integration/certificates.ts';
import { MountedSecret } from '../../../integration/tls/mounted-secret.ts';
import { completeGolden, expectGolden } from '../../expect-golden.ts';
import { goldenFolder, readGoldens } from '../../golden.ts';
import { until } from '../../server.ts';
import { Cluster, clusterTests } from '../harness/cluster.ts';

let folder = '';
let older: Authority;
let newer: Authority;
let before: CertificateFiles;
let after: CertificateFiles;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'conclave-rotation-'));
  [older, newer] = [new Authority(folder, 'older'), new Authority(folder, 'newer')];
  [before, after] = [older.issue('member', 'IP:127.0.0.1'), newer.issue('member', 'IP:127.0.0.1')];
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const holds = ({ certificate, key }: CertificateFiles, ...authorities: readonly Authority[]) => ({
  'tls.crt': readFileSync(certificate),
  'tls.key': readFileSync(key),
  'ca.crt': Buffer.concat(authorities.map((authority) => readFileSync(authority.certificate))),
});

/** How a call to a worker ends that shows this certificate. */
function identify(address: string, shown: CertificateFiles): Promise<status> {
  const trusted = Buffer.concat([older, newer].map(({ certificate }) => readFileSync(certificate)));
  const channel = credentials.createSsl(trusted, readFileSync(shown.key), readFileSync(shown.certificate));
  const client = new conclave.WorkerService(address, channel);
  return new Promise((resolve) => {
    client.Identify({}, new Metadata(), { deadline: Date.now() + 10_000 }, (error) => {
      client.close();
      resolve(error?.code ?? status.OK);
    });
  });
}

describe.skipIf(clusterTests.skip)(`authority and certificates of a whole cluster${clusterTests.suffix}`, () => {
  it('are replaced while it answers: no request fails, no token changes, and newcomers join', async () => {
    const secret = new MountedSecret(join(folder, 'mounted'), holds(before, older));
    const [certificate, key, authority] = ['tls.crt', 'tls.key', 'ca.crt'].map((name) => secret.path(name));
    const workers = { s1: ['--roles', 'stage'], e1: ['--roles', 'expert'] };
    const tls = { certificate: certificate!, key: key!, authority: authority! };
    await using cluster = await Cluster.start({ model: goldenFolder('mixtral'), workers, tls });
    const [golden] = readGoldens('mixtral');
    if (golden === undefined) throw new Error('no golden');

    const parts = [...cluster.controllers, ...cluster.workers.values()];
    let rotations = 0;
    /** Replaces the files, waits until every part has taken them, and lets some requests pass. */
    const rotate = async (files: ReturnType<typeof holds>): Promise<void> => {
      secret.replace(files);
      rotations += 1;
      await cluster.nats.signal('SIGHUP');
      const taken = () => parts.map(({ log }) => log.split('the certificate was replaced').length - 1);
      await until(taken, (counts) => counts.every((count) => count === rotations), 90_000);
      const done = answered + 2;
      await until(
        () => answered,
        (count) => count >= done,
        60_000,
      );
    };
    let answered = 0;
    const stop = new AbortController();
    const traffic = (async () => {
      while (!stop.signal.aborted) {
        expectGolden(await completeGolden(cluster, [golden.prompt]), [golden]);
        answered += 1;
      }
    })();
    try {
      await Promise.race([
        traffic,
        (async () => {
          await rotate(holds(before, older, newer));
          await rotate(holds(after, older, newer));
          await rotate(holds(after, newer));
          await cluster.startWorker('e2', ['--roles', 'expert']);
          await cluster.untilStatus(({ workers: found }) =>
            found.some(({ id, state }) => id === 'e2' && state !== 'lost'),
          );
        })(),
      ]);
    } finally {
      stop.abort();
    }
    await traffic;
    const { address } = cluster.worker('e1').line;
    expect(await identify(address, before)).toBe(status.UNAVAILABLE);
    // A certificate alone makes no member.
    expect(await identify(address, after)).toBe(status.UNAUTHENTICATED);

    await cluster.nats.signal('SIGTERM');
    await cluster.untilStatus(({ bus }) => bus === 'reconnecting');
    await cluster.nats.restart();
    await cluster.untilStatus(({ bus, workers: found }) => bus === 'connected' && found.length === 3);
    expectGolden(await completeGolden(cluster, [golden.prompt]), [golden]);
  });
});

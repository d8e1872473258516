import { X509Certificate } from 'node:crypto';
import { connect } from 'node:tls';
import { beforeAll, describe, expect, it } from 'vitest';
import { get, helm, kubernetesTests } from './harness/programs.ts';
import type { Release } from './harness/release.ts';
import { sharedRelease } from './harness/shared-release.ts';
import type { Endpoint } from './harness/streams.ts';
import { nothing, underStreams } from './harness/under-streams.ts';
import { until } from './harness/until.ts';

const settleMs = 240_000;
let release: Release;

/** Variable that the workers of a kind were started with. */
async function variable(kind: 'stage' | 'expert', name: string): Promise<string | undefined> {
  const { spec } = await get('-n', release.namespace, 'statefulset', `${release.name}-${kind}`);
  const { env } = spec.template.spec.containers[0] as {
    readonly env: readonly { readonly name: string; readonly value?: string }[];
  };
  return env.find((one) => one.name === name)?.value;
}

describe.skipIf(kubernetesTests.skip)(`16 streams notice nothing of${kubernetesTests.suffix}`, () => {
  beforeAll(async () => {
    release = await sharedRelease();
  });

  it('a rolling update by "helm upgrade" with a changed option, and a rollback', async () => {
    const revision = JSON.parse(await helm('status', release.name, '-n', release.namespace, '-o', 'json')).version;
    const seen = await underStreams(release, async () => {
      await release.apply('--set-string', 'workers.options.hedge-after=500ms,model.options.max-num-seqs=48');
      await release.settled(settleMs);
      expect(await variable('stage', 'CONCLAVE_HEDGE_AFTER')).toBe('500ms');
      await helm('rollback', release.name, String(revision), '-n', release.namespace);
      await release.settled(settleMs);
      expect(await variable('stage', 'CONCLAVE_HEDGE_AFTER')).toBeUndefined();
    });
    expect(seen).toEqual(nothing);
  });

  it('certificates that are rotated', async () => {
    const endpoint = await release.endpoint();
    const old = await served(endpoint);
    const pods = (await release.pods('controller')).map(({ metadata }) => metadata.name);
    const seen = await underStreams(release, async () => {
      for (const part of ['controller', 'worker', 'nats']) {
        await release.kubectl('annotate', 'secret', `${release.name}-${part}-tls`, 'conclave.dev/renew=now');
      }
      await until('the new certificate', 150_000, async () => (await served(endpoint)) !== old);
      expect((await release.pods('controller')).every(({ metadata }) => pods.includes(metadata.name))).toBe(true);
      await release.settled(settleMs);
    });
    expect(seen).toEqual(nothing);
  });
});

/** Fingerprint of the certificate that a controller shows. */
function served({ host, address, port, authority }: Endpoint): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: address, port, servername: host, ca: authority }, () => {
      resolve(new X509Certificate(socket.getPeerCertificate(true).raw).fingerprint256);
      socket.destroy();
    });
    socket.once('error', reject);
  });
}

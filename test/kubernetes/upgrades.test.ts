import { X509Certificate } from 'node:crypto';
import { connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { get, helm, kubernetesTests } from './harness/programs.ts';
import type { Release } from './harness/release.ts';
import { sharedRelease } from './harness/shared-release.ts';
import type { Endpoint } from './harness/streams.ts';
import { Clients, nothing } from './harness/under-streams.ts';
import { until } from './harness/until.ts';

const settleMs = 300_000;
let release: Release;
let clients: Clients;

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
    clients = await Clients.of(release);
  });
  afterAll(() => clients?.stop());

  it('a rolling update by "helm upgrade" with a changed option, and a rollback', async () => {
    const revision = JSON.parse(await helm('status', release.name, '-n', release.namespace, '-o', 'json')).version;
    const seen = await clients.see(async () => {
      await release.apply(
        '--reuse-values',
        '--set-string',
        'workers.options.hedge-after=500ms,model.options.max-num-seqs=48',
      );
      await release.settled(settleMs);
      expect(await variable('stage', 'CONCLAVE_HEDGE_AFTER')).toBe('500ms');
      await helm('rollback', release.name, String(revision), '-n', release.namespace);
      await release.settled(settleMs);
      expect(await variable('stage', 'CONCLAVE_HEDGE_AFTER')).toBeUndefined();
    });
    expect(seen).toEqual(nothing);
  });

  it('an edit of the model that controllers read when they start, and one that is refused', async () => {
    const edit = (spec: object) => {
      return release.kubectl('patch', `moemodel/${release.name}`, '--type=merge', '-p', JSON.stringify({ spec }));
    };
    const condition = (want: object) =>
      until('the condition', settleMs, async () => {
        const { metadata, status } = await get('-n', release.namespace, 'moemodel', release.name);
        const found = status.conditions.find(({ type }: { readonly type: string }) => type === 'Served');
        return isMatch(found, { ...want, observedGeneration: metadata.generation }) ? found.message : null;
      });
    const pods = (await release.pods('controller')).map(({ metadata }) => metadata.name);
    const seen = await clients.see(async () => {
      await edit({ options: { 'max-num-seqs': '48' } });
      await condition({ status: 'True', reason: 'AsAsked' });
      await release.settled(settleMs);
    });
    expect(seen).toEqual(nothing);
    const now = (await release.pods('controller')).map(({ metadata }) => metadata.name);
    expect(now.filter((name) => pods.includes(name))).toEqual([]);
    await edit({ contextLength: 1_000_000 });
    expect(await condition({ status: 'False', reason: 'Refused' })).toMatch(/--max-model-len: expected at most \d+/);
    await expect(edit({ options: { weights: 'q8' } })).rejects.toThrow(/the spec has fields for these/);
    await edit({ contextLength: null });
    await condition({ status: 'True' });
    expect((await release.pods('controller')).map(({ metadata }) => metadata.name)).toEqual(now);
  });

  it('certificates that are rotated', async () => {
    const endpoint = await release.endpoint();
    const old = await served(endpoint);
    const pods = (await release.pods('controller')).map(({ metadata }) => metadata.name);
    const seen = await clients.see(async () => {
      for (const part of ['controller', 'worker', 'nats']) {
        await release.kubectl('annotate', 'secret', `${release.name}-${part}-tls`, 'conclave.dev/renew=now');
      }
      await until('the new certificate', settleMs, async () => (await served(endpoint)) !== old);
      expect((await release.pods('controller')).every(({ metadata }) => pods.includes(metadata.name))).toBe(true);
      await release.settled(settleMs);
    });
    expect(seen).toEqual(nothing);
  });
});

function isMatch(found: object | undefined, want: object): boolean {
  return Object.entries(want).every(([key, value]) => (found as Record<string, unknown> | undefined)?.[key] === value);
}

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

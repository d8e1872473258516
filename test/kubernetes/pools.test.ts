import { X509Certificate } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { offerDevices } from './harness/device-plugin.ts';
import { get, kubectl, kubectlWith, kubernetesTests } from './harness/programs.ts';
import type { Release } from './harness/release.ts';
import { sharedRelease } from './harness/shared-release.ts';
import { Clients, nothing } from './harness/under-streams.ts';
import { until } from './harness/until.ts';

const moveMs = 300_000;
const gpus = 'nvidia.com/gpu';
let release: Release;
let clients: Clients;
let takeDevices: () => Promise<void> = async () => {};

const pool = (name: string) => get('-n', release.namespace, 'xp', name);
const ofSpare = ',conclave.dev/pool=spare';

async function offered(): Promise<number> {
  return Number((await get('node', 'node1')).status.allocatable[gpus] ?? 0);
}

/** Until a condition of the pool has this reason; its message. */
async function progress(reason: string): Promise<string> {
  return until(`a pool that is ${reason}`, moveMs, async () => {
    const { status, metadata } = await pool('spare');
    const found = status?.conditions?.find(({ type }: { readonly type: string }) => type === 'Progressing');
    return found?.reason === reason && found.observedGeneration === metadata.generation ? found.message : null;
  });
}

describe.skipIf(kubernetesTests.skip)(`a pool of GPU workers, made beside the chart's${kubernetesTests.suffix}`, () => {
  beforeAll(async () => {
    release = await sharedRelease();
    takeDevices = await offerDevices(gpus, 2);
    await until('two GPUs', moveMs, async () => (await offered()) === 2);
    clients = await Clients.of(release);
  });
  afterAll(async () => {
    await clients?.stop();
    await release?.kubectl('delete', 'xp', 'spare', '--ignore-not-found', `--timeout=${moveMs}ms`);
    await takeDevices();
  });

  it('joins with a GPU for each worker; nobody notices', async () => {
    const resources = { requests: { cpu: '50m', memory: '128Mi' }, limits: { memory: '512Mi' } };
    // The devices are none.
    const spec = { model: release.name, replicas: 2, gpus: 1, resources, options: { device: 'cpu' } };
    const made = { apiVersion: 'conclave.dev/v1alpha1', kind: 'ExpertPool', metadata: { name: 'spare' }, spec };
    const seen = await clients.see(async () => {
      await kubectlWith(JSON.stringify(made), '-n', release.namespace, 'apply', '-f', '-');
      await release.ready('worker', 2, moveMs, ofSpare);
      await progress('Complete');
      await until('slots', moveMs, async () => (await pool('spare')).status.slots > 0);
    });
    expect(seen).toEqual(nothing);
    const given = await Promise.all(
      ['spare-expert-0', 'spare-expert-1'].map((pod) =>
        release.kubectl('exec', pod, '--', 'printenv', 'NVIDIA_VISIBLE_DEVICES'),
      ),
    );
    expect(given.map((line) => line.trim()).toSorted()).toEqual(['fake-0', 'fake-1']);
  });

  it('has its names in the certificate that workers show', async () => {
    const names = await until('the names', moveMs, async () => {
      const { subjectAltName = '' } = new X509Certificate(await release.secret('worker-tls', 'tls.crt'));
      return subjectAltName.includes('spare') && subjectAltName;
    });
    expect(names.split(', ')).toContain(`DNS:*.spare-expert.${release.namespace}.svc`);
  });

  it('says what is missing when it should have more workers than there are GPUs', async () => {
    await release.kubectl('scale', 'xp/spare', '--replicas=3');
    expect(await progress('PodNotReady')).toMatch(/spare-expert-2.*Insufficient nvidia\.com\/gpu/);
    await release.kubectl('scale', 'xp/spare', '--replicas=2');
    await progress('Complete');
  });

  it('is drained before it goes; nobody notices', async () => {
    const seen = await clients.see(async () => {
      await release.kubectl('delete', 'xp', 'spare', `--timeout=${moveMs}ms`);
      await until('no pod of it', moveMs, async () => (await release.pods('worker', ofSpare)).length === 0);
    });
    expect(seen).toEqual(nothing);
    expect(await kubectl('get', '-n', release.namespace, 'statefulset', '-o', 'name')).not.toContain('spare');
  });
});

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { chart, get, helm, kubectl, kubectlWith, kubernetesTests } from './harness/programs.ts';
import type { Release } from './harness/release.ts';
import { sharedRelease } from './harness/shared-release.ts';
import { nothing, underStreams } from './harness/under-streams.ts';
import { until } from './harness/until.ts';

const moveMs = 300_000;
let release: Release;

/** An autoscaler as the chart's, but one that moves at once: stabilisation is the controller manager's own. */
function autoscaler(target: string): object {
  const { name, namespace } = release;
  const metric = { name: 'conclave_expert_busy_ratio', selector: { matchLabels: { pool: name } } };
  return {
    apiVersion: 'autoscaling/v2',
    kind: 'HorizontalPodAutoscaler',
    metadata: { name, namespace },
    spec: {
      scaleTargetRef: { apiVersion: 'conclave.dev/v1alpha1', kind: 'ExpertPool', name },
      ...{ minReplicas: 2, maxReplicas: 3, behavior: { scaleDown: { stabilizationWindowSeconds: 0 } } },
      metrics: [{ type: 'External', external: { metric, target: { type: 'Value', value: target } } }],
    },
  };
}

async function replicas(): Promise<number> {
  return (await get('-n', release.namespace, 'xp', release.name)).spec.replicas;
}

describe.skipIf(kubernetesTests.skip)(`a HorizontalPodAutoscaler${kubernetesTests.suffix}`, () => {
  beforeAll(async () => {
    release = await sharedRelease();
  });
  afterAll(async () => {
    await release.kubectl('delete', 'hpa', release.name, '--ignore-not-found');
  });

  it('begins with the workers that there are', async () => {
    const flags = ['-n', release.namespace, '--reuse-values', '--dry-run=server', '-o', 'json'];
    const scaling = ['--set', 'expertPools.default.autoscaling.enabled=true'];
    const { manifest } = JSON.parse(await helm('upgrade', release.name, chart, ...flags, ...scaling)) as {
      readonly manifest: string;
    };
    const made = parseAllDocuments(manifest).map((document) => document.toJS());
    expect(made.find(({ kind }) => kind === 'HorizontalPodAutoscaler').spec.scaleTargetRef.name).toBe(release.name);
    expect(made.find(({ kind }) => kind === 'ExpertPool').spec.replicas).toBe(await replicas());
  });

  it('scales a pool up while its workers are busy, and down when they are idle; nobody notices', async () => {
    const busy = `/apis/external.metrics.k8s.io/v1beta1/namespaces/${release.namespace}/conclave_expert_busy_ratio`;
    const selector = `labelSelector=${encodeURIComponent(`pool=${release.name}`)}`;
    const seen = await underStreams(release, async (streams) => {
      // Any work at all is more than a thousandth of the time.
      await kubectlWith(JSON.stringify(autoscaler('1m')), 'apply', '-f', '-');
      await until('that the API server trusts the controllers', moveMs, async () => {
        const { spec } = await get('apiservice', 'v1beta1.external.metrics.k8s.io');
        return spec.insecureSkipTLSVerify !== true && (spec.caBundle ?? '') !== '';
      });
      await until('a third worker', moveMs, async () => (await replicas()) === 3);
      const { items } = JSON.parse(await kubectl('get', '--raw', `${busy}?${selector}`));
      expect(items).toEqual([expect.objectContaining({ metricLabels: { pool: release.name } })]);
      await streams.more(16);
    });
    expect(seen).toEqual(nothing);
    await until('two workers again', moveMs, async () => (await replicas()) === 2);
    await release.ready('worker', 2, moveMs, ',conclave.dev/role=expert');
  });
});

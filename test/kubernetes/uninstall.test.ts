import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { kubectl, kubernetesTests } from './harness/programs.ts';
import type { Release } from './harness/release.ts';
import { sharedRelease } from './harness/shared-release.ts';
import { until } from './harness/until.ts';

let release: Release;

describe.skipIf(kubernetesTests.skip)(`a release${kubernetesTests.suffix}`, () => {
  beforeAll(async () => {
    release = await sharedRelease();
  });
  afterAll(() => release?.erase());

  it('is uninstalled without a trace but its Secrets and disks; its workers do not wait for each other', async () => {
    const { drainTimeoutSeconds } = JSON.parse(
      await release.kubectl('get', 'moe', release.name, '-o', 'jsonpath={.spec.workers}'),
    ) as { readonly drainTimeoutSeconds: number };
    await release.uninstall();
    const uninstalled = Date.now();
    const kinds = 'moe,xp,statefulset,deployment,service,pdb,networkpolicy,role,rolebinding,job';
    expect(await release.kubectl('get', kinds, '-o', 'name')).toBe('');
    expect(await release.kubectl('get', 'secret', '-o', 'name')).toContain(`secret/${release.name}-ca`);
    await until('no worker', 300_000, async () => (await release.kubectl('get', 'pods', '-l', workers)) === '');
    expect(Date.now() - uninstalled).toBeLessThan(drainTimeoutSeconds * 1_000);
  });

  it('goes with its namespace, and with what it has elsewhere', async () => {
    await release.apply('--set', 'externalMetrics.enabled=true');
    await release.settled(300_000);
    expect(await release.kubectl('get', 'xp', '-o', 'jsonpath={.items[*].metadata.finalizers}')).toContain('drain');
    await kubectl('delete', 'namespace', release.namespace, '--timeout=4m');
    expect(await kubectl('get', 'namespace', release.namespace, '--ignore-not-found')).toBe('');
    expect(await kubectl('get', 'apiservice', 'v1beta1.external.metrics.k8s.io', '--ignore-not-found')).toBe('');
  });
});

const workers = 'app.kubernetes.io/component=worker';

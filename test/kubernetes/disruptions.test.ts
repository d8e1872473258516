import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { get, kubectlWith, kubernetesTests } from './harness/programs.ts';
import { isReady, type Release } from './harness/release.ts';
import { sharedRelease } from './harness/shared-release.ts';
import { Clients, nothing } from './harness/under-streams.ts';
import { until } from './harness/until.ts';

const backMs = 300_000;
let release: Release;
let clients: Clients;

/** Deletes a pod, or evicts it, and waits until another one is ready in its place. */
async function replaced(component: string, name: string, count: number, remove: () => Promise<unknown>): Promise<void> {
  const pods = await release.pods(component);
  const gone = pods.find(({ metadata }) => metadata.name === name)?.metadata.uid;
  await remove();
  await until(`another pod in place of ${name}`, backMs, async () => {
    const now = await release.pods(component);
    return now.length >= count && now.every((pod) => pod.metadata.uid !== gone && isReady(pod));
  });
  await release.settled(backMs);
}

/** Asks for an eviction, as "kubectl drain" does, until the budgets allow it. */
async function evict(name: string): Promise<void> {
  const eviction = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name, namespace: release.namespace } };
  const path = `/api/v1/namespaces/${release.namespace}/pods/${name}/eviction`;
  await until(`the eviction of ${name}`, backMs, async () => {
    await kubectlWith(JSON.stringify(eviction), 'create', '--raw', path, '-f', '-');
    return true;
  });
}

describe.skipIf(kubernetesTests.skip)(`16 streams notice nothing of${kubernetesTests.suffix}`, () => {
  beforeAll(async () => {
    release = await sharedRelease();
    clients = await Clients.of(release);
  });
  afterAll(() => clients?.stop());

  it('kubectl scale: 2 → 4 → 2 expert workers', async () => {
    const seen = await clients.see(async () => {
      for (const replicas of [4, 2]) {
        await release.kubectl('scale', `xp/${release.name}`, `--replicas=${replicas}`);
        await release.ready('worker', replicas, backMs, ',conclave.dev/role=expert');
        await until('the pool’s status', backMs, async () => {
          const { status } = await get('-n', release.namespace, 'xp', release.name);
          return status.readyReplicas === replicas && status.replicas === replicas;
        });
        await clients.streams.more(16);
      }
    });
    expect(seen).toEqual(nothing);
  });

  it.each([
    { what: 'an expert worker', component: 'worker', pod: async () => `${release.name}-expert-0`, count: 3 },
    { what: 'the stage worker', component: 'worker', pod: async () => `${release.name}-stage-0`, count: 3 },
    { what: 'the leading controller', component: 'controller', pod: () => release.leader(), count: 2 },
    { what: 'a NATS server', component: 'nats', pod: async () => `${release.name}-nats-0`, count: 3 },
  ])('kubectl delete pod: $what', async ({ component, pod, count }) => {
    const name = await pod();
    const remove = () => release.kubectl('delete', 'pod', name, '--wait=false');
    expect(await clients.see(() => replaced(component, name, count, remove))).toEqual(nothing);
  });

  it('a NATS server that is killed', async () => {
    const name = `${release.name}-nats-1`;
    const kill = ['delete', 'pod', name, '--force', '--grace-period=0'] as const;
    const seen = await clients.see(() => replaced('nats', name, 3, () => release.kubectl(...kill)));
    expect(seen).toEqual(nothing);
  });

  it('evictions from a node that is drained', async () => {
    const experts = (await release.pods('worker', ',conclave.dev/role=expert')).map(({ metadata }) => metadata.name);
    const controllers = (await release.pods('controller')).map(({ metadata }) => metadata.name);
    expect([experts.length, controllers.length]).toEqual([2, 2]);
    const seen = await clients.see(async () => {
      for (const name of experts) await replaced('worker', name, 3, () => evict(name));
      for (const name of controllers) await replaced('controller', name, 2, () => evict(name));
    });
    expect(seen).toEqual(nothing);
  });
});

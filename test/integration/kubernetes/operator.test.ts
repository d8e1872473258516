import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { parse } from 'yaml';
import { controllersOf } from '../../../app/compose/kubernetes/operator.ts';
import { controllerSchema } from '../../../app/config/controller-config.ts';
import { type KubeApi, KubeError } from '../../../controller/kubernetes/api/kube-api.ts';
import { Operator } from '../../../controller/kubernetes/operate/operator.ts';
import { poolScaling } from '../../../controller/kubernetes/operate/pool-scaling.ts';
import type { MoEModel } from '../../../controller/kubernetes/resources/moe-model.ts';
import { systemClock } from '../../../platform/process/clock.ts';
import { packageRoot } from '../../../proto/package-root.ts';
import { ApiServer, apiServerSkipped } from './api-server.ts';
import { role, roleBinding } from './role.ts';
import { StandInCluster } from './stand-in-cluster.ts';

const NAMESPACE = 'moe';
const GROUP = `/apis/conclave.dev/v1alpha1/namespaces/${NAMESPACE}`;
const SETS = `/apis/apps/v1/namespaces/${NAMESPACE}/statefulsets`;
const PODS = `/api/v1/namespaces/${NAMESPACE}/pods`;
const patient = { timeout: 30_000, interval: 50 };

interface Seen {
  readonly metadata: {
    readonly uid: string;
    readonly generation: number;
    readonly resourceVersion: string;
    readonly finalizers?: readonly string[];
    readonly annotations?: Readonly<Record<string, string>>;
    readonly ownerReferences?: readonly { readonly kind: string; readonly name: string }[];
  };
  readonly spec: { readonly replicas: number; readonly template: { readonly metadata: object; readonly spec: object } };
  readonly status?: Readonly<Record<string, unknown>>;
}

describe.skipIf(apiServerSkipped.skip)(`the operator at a real API server${apiServerSkipped.suffix}`, () => {
  let server: ApiServer;
  let api: KubeApi;
  let operator: Operator;
  const cluster = new StandInCluster();
  const published: string[] = [];

  const get = (path: string) => server.admin.call({ method: 'GET', path }) as Promise<Seen>;
  const create = (path: string, body: object) => server.admin.call({ method: 'POST', path, body });
  const set = (name: string) => get(`${SETS}/${name}`);
  const pool = () => get(`${GROUP}/expertpools/experts`);

  function startOperator(id: string, of: StandInCluster): Operator {
    const config = controllerSchema.parse({
      cluster: 'clerk',
      nats: 'nats://nats:4222',
      kubernetesDeployment: 'conclave',
      kubernetesService: 'conclave',
    });
    const differences = ({ spec }: MoEModel) => {
      const { contextLength } = spec;
      return {
        ...{ refused: [], overruled: [] },
        pending: contextLength === undefined ? [] : [`spec.contextLength: ${contextLength}`],
      };
    };
    const made = new Operator({
      ...{ api, id, cluster: of, clock: systemClock },
      controllers: { ...controllersOf(config, NAMESPACE), differences },
      ...{ wallClock: Date.now, random: Math.random, expertsOf: () => 8 },
      publish: (_, { code, message }) => published.push(`${code}: ${message}`),
      onError: () => {}, // The server is away on purpose.
    });
    made.start();
    return made;
  }

  /** What the StatefulSet controller does: pods of the newest template, ready, and workers in them that hold something. */
  async function makePods(name: string, replicas: number): Promise<void> {
    const { metadata, spec } = await set(name);
    const revision = `r${metadata.annotations?.['conclave.dev/applied'] ?? ''}`;
    const status = { replicas, observedGeneration: metadata.generation, updateRevision: revision };
    const merge = { method: 'PATCH', contentType: 'application/merge-patch+json' } as const;
    await server.admin.call({ ...merge, path: `${SETS}/${name}/status`, body: { status } });
    for (let ordinal = 0; ordinal < replicas; ordinal++) {
      const pod = `${name}-${ordinal}`;
      if (cluster.there.has(pod)) continue;
      const { metadata: template, spec: podSpec } = spec.template;
      const labels = { ...(template as { labels: object }).labels, 'controller-revision-hash': revision };
      await create(PODS, { metadata: { name: pod, labels }, spec: podSpec });
      const ready = { status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] } };
      await server.admin.call({ ...merge, path: `${PODS}/${pod}/status`, body: ready });
      cluster.there.add(pod);
      cluster.holding.add(pod);
    }
    cluster.changed();
  }

  async function endPod(pod: string): Promise<void> {
    await server.admin.call({ method: 'DELETE', path: `${PODS}/${pod}`, body: { gracePeriodSeconds: 0 } });
    cluster.there.delete(pod);
    cluster.holding.delete(pod);
    cluster.changed();
  }

  beforeAll(async () => {
    server = await ApiServer.start();
    api = server.operator(NAMESPACE);
    for (const kind of ['moemodels', 'expertpools']) {
      const definition = parse(readFileSync(join(packageRoot, `charts/conclave/crds/${kind}.yaml`), 'utf8')) as object;
      await create('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', definition);
    }
    await create('/api/v1/namespaces', { metadata: { name: NAMESPACE } });
    await create(`/apis/rbac.authorization.k8s.io/v1/namespaces/${NAMESPACE}/roles`, role);
    await create(`/apis/rbac.authorization.k8s.io/v1/namespaces/${NAMESPACE}/rolebindings`, roleBinding);
    await vi.waitFor(() => get(`${GROUP}/expertpools`), patient);
    await vi.waitFor(() => get(`${GROUP}/moemodels`), patient);
  });

  afterAll(async () => {
    operator?.stop();
    api?.close();
    await server?.stop();
  });

  it.each([
    [
      'two sources',
      'moemodels',
      { source: { builtIn: 'clerk', folder: '/x' } },
      /exactly one of builtIn, claim, image and folder/,
    ],
    ['a path out of the claim', 'moemodels', { source: { claim: { name: 'm', path: 'a/../..' } } }, /below the volume/],
    [
      'a flag of the operator',
      'moemodels',
      { options: { nats: 'nats://elsewhere' } },
      /the operator gives these flags itself/,
    ],
    ['a flag with dashes', 'moemodels', { options: { '--threads': '1' } }, /flags without their dashes/],
    ['stages that hold no stage', 'moemodels', { stages: { roles: ['expert'] } }, /expected stage among them/],
    ['a memory that is none', 'moemodels', { stages: { memory: '4GiB' } }, /spec.stages.memory/],
    ['fewer than no workers', 'expertpools', { replicas: -1 }, /spec.replicas/],
    [
      'an expert that is named twice',
      'expertpools',
      { expertReplicas: { overrides: [1, 2].map((replicas) => ({ layer: 0, expert: 1, replicas })) } },
      /Duplicate value/,
    ],
    ['an unknown word for the source', 'moemodels', { source: { builtIn: 'llama' } }, /Unsupported value/],
  ])('refuses %s', async (_, kind, spec, message) => {
    const whole = kind === 'moemodels' ? { workers: { image: 'i' }, ...spec } : { model: 'clerk', ...spec };
    const body = {
      apiVersion: 'conclave.dev/v1alpha1',
      kind: kind === 'moemodels' ? 'MoEModel' : 'ExpertPool',
      metadata: { name: 'wrong' },
      spec: whole,
    };
    await expect(create(`${GROUP}/${kind}`, body)).rejects.toThrow(message);
  });

  it('refuses names of which no Service can be named', async () => {
    const body = {
      apiVersion: 'conclave.dev/v1alpha1',
      kind: 'ExpertPool',
      metadata: { name: '1'.repeat(50) },
      spec: { model: 'clerk' },
    };
    await expect(create(`${GROUP}/expertpools`, body)).rejects.toThrow(/at most 45 lower-case letters/);
  });

  it('makes what a model and its pool ask for, with the rights of its Role', async () => {
    const of = { apiVersion: 'conclave.dev/v1alpha1' };
    const workers = { image: 'conclave:1' };
    await create(`${GROUP}/moemodels`, { ...of, kind: 'MoEModel', metadata: { name: 'clerk' }, spec: { workers } });
    const spec = { model: 'clerk', replicas: 2, expertReplicas: { default: 2 } };
    await create(`${GROUP}/expertpools`, { ...of, kind: 'ExpertPool', metadata: { name: 'experts' }, spec });
    operator = startOperator('a', cluster);
    const [stages, experts] = await vi.waitFor(() => Promise.all([set('clerk-stage'), set('experts-expert')]), patient);
    expect([stages.spec.replicas, experts.spec.replicas]).toEqual([1, 2]);
    expect(experts.metadata.ownerReferences).toMatchObject([{ kind: 'ExpertPool', name: 'experts' }]);
    expect(experts.metadata.annotations?.['conclave.dev/operator']).toBe('a/1');
    await get(`/api/v1/namespaces/${NAMESPACE}/services/experts-expert`);
    await get(`/apis/policy/v1/namespaces/${NAMESPACE}/poddisruptionbudgets/clerk-stage`);
    expect((await pool()).metadata.finalizers).toEqual(['conclave.dev/drain']);
    expect(cluster.asked[0]).toBe('{"default":2,"overrides":[]} by operator (MoEModel/clerk)');
    await makePods('clerk-stage', 1);
    await makePods('experts-expert', 2);
    await vi.waitFor(async () => {
      expect((await pool()).status).toMatchObject({ readyReplicas: 2, updatedReplicas: 2, desiredReplicas: 2 });
    }, patient);
  });

  it('drains before a pod goes, and says who scaled', async () => {
    const before = await poolScaling(api, NAMESPACE).scale('experts', 1, 'key 1f3870be (ada@ops1)');
    expect(before).toBe(2);
    await vi.waitFor(
      () => expect(cluster.draining.get('experts-expert-1')).toBe('operator (ExpertPool/experts)'),
      patient,
    );
    expect((await set('experts-expert')).spec.replicas).toBe(2);
    expect(published).toContain('POOL_SCALED: replicas 2 → 1 by conclave scale, key 1f3870be (ada@ops1)');
    cluster.holding.delete('experts-expert-1');
    cluster.changed();
    await vi.waitFor(async () => expect((await set('experts-expert')).spec.replicas).toBe(1), patient);
    await endPod('experts-expert-1');
    await vi.waitFor(() => expect(cluster.draining.size).toBe(0), patient);
    const { items } = (await get(`/api/v1/namespaces/${NAMESPACE}/events`)) as unknown as {
      items: { reason: string }[];
    };
    expect(items.map(({ reason }) => reason)).toContain('PoolScaled');
  });

  it('names the pools that there are where another is asked for', async () => {
    await expect(poolScaling(api, NAMESPACE).scale('expert', 1, 'ada')).rejects.toMatchObject({
      details: 'pool: no ExpertPool "expert" in namespace moe; there are: experts',
    });
  });

  it('refuses to write to a StatefulSet that has changed since it was seen', async () => {
    const { metadata, spec } = await set('experts-expert');
    const object = {
      ...{ apiVersion: 'apps/v1', kind: 'StatefulSet', spec: { ...spec } },
      metadata: {
        name: 'experts-expert',
        namespace: NAMESPACE,
        resourceVersion: String(Number(metadata.resourceVersion) - 1),
      },
    };
    const refused: unknown = await api.apply(object).catch((error: unknown) => error);
    expect(refused instanceof KubeError && refused.status).toBe(409);
  });

  it('goes on where it was once the API server is back', async () => {
    await server.down();
    cluster.changed();
    await server.restart();
    // Rights and custom resources come a moment after it answers.
    await vi.waitFor(() => poolScaling(api, NAMESPACE).scale('experts', 3, 'ada'), patient);
    await vi.waitFor(async () => expect((await set('experts-expert')).spec.replicas).toBe(3), patient);
    await makePods('experts-expert', 3);
  });

  it('replaces one pod after the other when the image changes, each drained first', async () => {
    const path = `${GROUP}/moemodels/clerk`;
    const body = { spec: { workers: { image: 'conclave:2' } } };
    await server.admin.call({ method: 'PATCH', contentType: 'application/merge-patch+json', path, body });
    const applied = (await set('experts-expert')).metadata.annotations?.['conclave.dev/applied'];
    await vi.waitFor(async () => {
      expect((await set('experts-expert')).metadata.annotations?.['conclave.dev/applied']).not.toBe(applied);
    }, patient);
    for (const name of ['clerk-stage', 'experts-expert']) await makePods(name, 0);
    const order = ['clerk-stage-0', 'experts-expert-2', 'experts-expert-1', 'experts-expert-0'];
    for (const pod of order) {
      await vi.waitFor(() => expect([...cluster.draining.keys()]).toEqual([pod]), patient);
      await get(`${PODS}/${pod}`);
      cluster.holding.delete(pod);
      cluster.changed();
      await vi.waitFor(() => expect(get(`${PODS}/${pod}`)).rejects.toThrow(/not found/), patient);
      cluster.there.delete(pod);
      const name = pod.slice(0, -2);
      await makePods(name, (await set(name)).spec.replicas);
      await vi.waitFor(() => expect(cluster.draining.has(pod)).toBe(false), patient);
    }
  });

  it('has controllers restarted that read the model when they start, once for each version of it', async () => {
    const deployment = `/apis/apps/v1/namespaces/${NAMESPACE}/deployments`;
    const labels = { app: 'controllers' };
    const template = { metadata: { labels }, spec: { containers: [{ name: 'controller', image: 'conclave:1' }] } };
    await create(deployment, { metadata: { name: 'conclave' }, spec: { selector: { matchLabels: labels }, template } });
    const path = `${GROUP}/moemodels/clerk`;
    const ask = (contextLength: number | null) =>
      server.admin.call({
        ...{ method: 'PATCH', contentType: 'application/merge-patch+json', path, body: { spec: { contextLength } } },
      });
    await ask(128);
    const { metadata } = await get(path);
    await vi.waitFor(async () => {
      const { spec } = await get(`${deployment}/conclave`);
      expect(spec.template.metadata).toEqual({
        labels,
        annotations: { 'conclave.dev/model-generation': `${metadata.uid}/${metadata.generation}` },
      });
      expect(JSON.stringify((await get(path)).status)).toContain('ControllersRestarting');
    }, patient);
    expect(published).toContain(
      'CONTROLLERS_RESTARTING: spec.contextLength: 128: deployment/conclave is rolled out, as controllers read this when they start',
    );
    await ask(null);
    await vi.waitFor(async () => expect(JSON.stringify((await get(path)).status)).toContain('AsAsked'), patient);
  });

  it('leaves everything to the next leader once it does not lead', async () => {
    cluster.term = null;
    const next = new StandInCluster();
    next.term = 2;
    for (const worker of cluster.there) {
      next.there.add(worker);
      next.holding.add(worker);
    }
    const other = startOperator('b', next);
    try {
      await vi.waitFor(async () => {
        expect((await set('experts-expert')).metadata.annotations?.['conclave.dev/operator']).toBe('b/2');
      }, patient);
      await poolScaling(api, NAMESPACE).scale('experts', 2, 'ada');
      cluster.changed();
      await vi.waitFor(() => expect([...next.draining.keys()]).toEqual(['experts-expert-2']), patient);
      expect(cluster.draining.size).toBe(0);
    } finally {
      other.stop();
    }
    cluster.term = 3;
    cluster.changed();
    await vi.waitFor(() => expect([...cluster.draining.keys()]).toEqual(['experts-expert-2']), patient);
  });

  it('lets a pool go once it is drained and has no pods', async () => {
    await server.admin.call({ method: 'DELETE', path: `${GROUP}/expertpools/experts`, body: {} });
    await vi.waitFor(() => expect(cluster.draining.size).toBe(3), patient);
    for (const ordinal of [0, 1, 2]) cluster.holding.delete(`experts-expert-${ordinal}`);
    cluster.changed();
    await vi.waitFor(async () => expect((await set('experts-expert')).spec.replicas).toBe(0), patient);
    expect((await pool()).metadata.finalizers).toEqual(['conclave.dev/drain']);
    for (const ordinal of [0, 1, 2]) await endPod(`experts-expert-${ordinal}`);
    await vi.waitFor(() => expect(pool()).rejects.toThrow(/not found/), patient);
  });

  it('lets pools go whose namespace is deleted, of which pods go first', async () => {
    const spec = { model: 'clerk', replicas: 1 };
    const made = { apiVersion: 'conclave.dev/v1alpha1', kind: 'ExpertPool', metadata: { name: 'experts' }, spec };
    await create(`${GROUP}/expertpools`, made);
    await vi.waitFor(async () => expect((await set('experts-expert')).spec.replicas).toBe(1), patient);
    await makePods('experts-expert', 1);
    // Only what a node runs ends slowly.
    await create(`${PODS}/experts-expert-0/binding`, {
      ...{ metadata: { name: 'experts-expert-0' }, target: { kind: 'Node', name: 'node' } },
    });
    expect((await pool()).metadata.finalizers).toEqual(['conclave.dev/drain']);
    await server.admin.call({ method: 'DELETE', path: `/api/v1/namespaces/${NAMESPACE}`, body: {} });
    await server.admin.call({ method: 'DELETE', path: `${PODS}/experts-expert-0`, body: {} });
    await vi.waitFor(async () => expect((await pool()).metadata.finalizers ?? []).toEqual([]), patient);
  });
});

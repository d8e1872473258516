import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { mergeTemplate } from '../../../../controller/kubernetes/desired/merge-template.ts';
import { setObjects } from '../../../../controller/kubernetes/desired/set-objects.ts';
import { poolSet, stageSet } from '../../../../controller/kubernetes/desired/worker-set.ts';
import { expertPoolSchema } from '../../../../controller/kubernetes/resources/expert-pool.ts';
import { moeModelSchema } from '../../../../controller/kubernetes/resources/moe-model.ts';
import { quantity } from '../../../../controller/kubernetes/resources/quantity.ts';
import { packageRoot } from '../../../../proto/package-root.ts';
import { controllers, model, pool } from './fixtures.ts';

interface PodTemplate {
  readonly metadata: { readonly labels: Readonly<Record<string, string>> };
  readonly spec: {
    readonly containers: readonly {
      readonly args: readonly string[];
      readonly env: readonly { readonly name: string; readonly value?: string }[];
      readonly resources: unknown;
      readonly volumeMounts: readonly unknown[];
    }[];
  } & Readonly<Record<string, unknown>>;
}

function template(of: ReturnType<typeof model>, given?: ReturnType<typeof pool>): PodTemplate {
  const set = given === undefined ? stageSet(of) : poolSet(of, given);
  return setObjects(set, of, controllers).statefulSet.spec['template'] as PodTemplate;
}

describe('a worker pod', () => {
  it('gets to know who it is, where NATS is, and how to be reached', () => {
    const [worker] = template(model(), pool({ resources: { limits: { memory: '1000Mi' } } })).spec.containers;
    expect(worker?.args.join(' ')).toBe(
      'worker --nats nats://nats:4222 --cluster clerk --id $(POD_NAME) --node $(NODE_NAME) --roles expert ' +
        '--host 0.0.0.0 --port 8002 --metrics-port 8003 --advertise $(POD_NAME).experts-expert.$(POD_NAMESPACE).svc ' +
        `--drain-timeout 60s --memory ${850 * 2 ** 20}`,
    );
  });

  it('ends later than its drain may take, and gets no variables of Services', () => {
    const { spec } = template(model({ workers: { image: 'i', drainTimeoutSeconds: 600 } }));
    expect(spec).toMatchObject({
      terminationGracePeriodSeconds: 630,
      enableServiceLinks: false,
      automountServiceAccountToken: false,
    });
  });

  it('gets the flags that workers know, its own over those of the model', () => {
    const of = model({ options: { 'overlap-rows': '64', threads: '2', 'max-num-seqs': '8' } });
    const { env = [] } = template(of, pool({ options: { threads: '4' } })).spec.containers[0] ?? {};
    expect(env.filter(({ value }) => value !== undefined)).toEqual([
      { name: 'CONCLAVE_DEVICE', value: 'cpu' },
      { name: 'CONCLAVE_OVERLAP_ROWS', value: '64' },
      { name: 'CONCLAVE_THREADS', value: '4' },
    ]);
  });

  it('asks for GPUs, tolerates their taint, and computes on nothing else unless an option says so', () => {
    const { spec } = template(model(), pool({ gpus: 2, resources: { limits: { memory: '8Gi' } } }));
    const device = (options: object) =>
      template(model({ options }), pool({ gpus: 2 })).spec.containers[0]?.env.find(
        ({ name }) => name === 'CONCLAVE_DEVICE',
      );
    expect([device({})?.value, device({ device: 'cpu' })?.value]).toEqual(['cuda', 'cpu']);
    expect(spec.containers[0]?.resources).toEqual({ limits: { memory: '8Gi', 'nvidia.com/gpu': '2' } });
    expect(spec['tolerations']).toEqual([{ key: 'nvidia.com/gpu', operator: 'Exists', effect: 'NoSchedule' }]);
  });

  it.each([
    [
      { claim: { name: 'models', path: 'qwen3' } },
      '/models/qwen3',
      { persistentVolumeClaim: { claimName: 'models', readOnly: true } },
    ],
    [{ claim: { name: 'models' } }, '/models', { persistentVolumeClaim: { claimName: 'models', readOnly: true } }],
    [{ image: { reference: 'qwen:1' } }, '/models', { image: { reference: 'qwen:1', pullPolicy: 'IfNotPresent' } }],
    [{ folder: '/data/qwen' }, '/data/qwen', null],
    [{ builtIn: 'clerk' }, '--nats', null],
  ])('finds its checkpoint: %j', (source, folder, volume) => {
    const { spec } = template(model({ source }));
    expect(spec.containers[0]?.args[1]).toBe(folder);
    const expected = volume === null ? [] : [{ name: 'model', ...volume }];
    expect((spec['volumes'] as { name: string }[]).filter(({ name }) => name === 'model')).toEqual(expected);
  });

  it('keeps the labels by which it is found, whatever a template says', () => {
    const labels = { team: 'a', 'conclave.dev/model': 'mine' };
    const { metadata } = template(model(), pool({ template: { metadata: { labels } } }));
    expect(metadata.labels).toMatchObject({ team: 'a', 'conclave.dev/model': 'clerk', 'conclave.dev/pool': 'experts' });
  });

  it('is the same for the same, in whatever order it was given', () => {
    const digestOf = (spec: object) =>
      setObjects(stageSet(model(spec as never)), model(spec as never), controllers).statefulSet.metadata.annotations;
    expect(digestOf({ stages: { resources: { limits: { cpu: '1', memory: '1Gi' } } } })).toEqual(
      digestOf({ stages: { resources: { limits: { memory: '1Gi', cpu: '1' } } } }),
    );
    expect(digestOf({ stages: { resources: { limits: { cpu: '2' } } } })).not.toEqual(digestOf({}));
  });
});

describe('a template over another', () => {
  it('merges what has names, replaces what has not, and a variable as a whole', () => {
    const base = {
      spec: {
        nodeSelector: { a: '1' },
        tolerations: [{ key: 'x' }],
        containers: [
          {
            name: 'worker',
            env: [
              { name: 'A', valueFrom: { fieldRef: {} } },
              { name: 'B', value: '1' },
            ],
            volumeMounts: [{ name: 'tmp', mountPath: '/tmp' }],
            args: ['worker', '--a'],
          },
        ],
      },
    };
    const over = {
      spec: {
        nodeSelector: { b: '2' },
        tolerations: [{ key: 'y' }],
        containers: [
          { name: 'worker', env: [{ name: 'A', value: '3' }], volumeMounts: [{ name: 'tmp', mountPath: '/cache' }] },
          { name: 'sidecar' },
        ],
      },
    };
    expect(mergeTemplate(base, over)).toEqual({
      spec: {
        nodeSelector: { a: '1', b: '2' },
        tolerations: [{ key: 'y' }],
        containers: [
          {
            name: 'worker',
            env: [
              { name: 'A', value: '3' },
              { name: 'B', value: '1' },
            ],
            volumeMounts: [
              { name: 'tmp', mountPath: '/tmp' },
              { name: 'tmp', mountPath: '/cache' },
            ],
            args: ['worker', '--a'],
          },
          { name: 'sidecar' },
        ],
      },
    });
  });
});

describe('a quantity', () => {
  it.each([
    ['4Gi', 4 * 2 ** 30],
    ['1.5k', 1_500],
    ['500m', 0.5],
    ['2e3', 2_000],
    ['1E', 1e18],
    [7, 7],
    ['4GiB', null],
    ['-1', null],
    ['', null],
  ])('%j is %s', (text, value) => {
    expect(quantity(text)).toBe(value);
  });
});

describe('the definitions in the chart', () => {
  it.each([
    ['moemodels', moeModelSchema],
    ['expertpools', expertPoolSchema],
  ])('of %s have every field that is read, and no other', (plural, schema) => {
    const file = parse(readFileSync(join(packageRoot, `charts/conclave/crds/${plural}.yaml`), 'utf8'));
    const { spec } = file.spec.versions[0].schema.openAPIV3Schema.properties;
    expect(read(schema.shape.spec)).toEqual(defined(spec));
  });
});

type Tree = Readonly<Record<string, unknown>> | null;

/** Names of fields, by their place. Those of what Kubernetes itself defines are left out. */
function defined(node: { properties?: Record<string, never>; items?: { properties?: Record<string, never> } }): Tree {
  const properties = node.properties ?? node.items?.properties;
  if (properties === undefined) return null;
  return Object.fromEntries(
    Object.entries(properties).map(([name, field]) => [name, name === 'template' ? null : defined(field)]),
  );
}

interface ZodNode {
  readonly shape?: Readonly<Record<string, ZodNode>>;
  readonly def: { readonly innerType?: ZodNode; readonly element?: ZodNode };
}

function read(node: unknown): Tree {
  const { shape, def } = node as ZodNode;
  const inner = def.innerType ?? def.element;
  if (inner !== undefined) return read(inner);
  if (shape === undefined) return null;
  return Object.fromEntries(
    Object.entries(shape).map(([name, field]) => [name, name === 'template' ? null : read(field)]),
  );
}

import type { MoEModel } from '../resources/moe-model.ts';
import { CONTAINER } from '../resources/names.ts';
import type { Resources } from '../resources/objects.ts';
import { quantity } from '../resources/quantity.ts';
import type { Controllers } from './controllers.ts';
import { mergeTemplate } from './merge-template.ts';
import type { WorkerSet } from './worker-set.ts';

export const ports = { grpc: 8002, metrics: 8003 } as const;

const GPU = 'nvidia.com/gpu';
const TLS_FOLDER = '/etc/conclave/tls';
const MODEL_FOLDER = '/models';
/** Part of a container's memory that weights and caches take by default; the rest is the process's own. */
const MEMORY_SHARE = 0.85;
/** Seconds that a process gets to end after its drain. */
const ENDING_SECONDS = 30;

type Tree = Readonly<Record<string, unknown>>;

/** The pods of a set: the operator's own template, and what users give over it. */
export function podTemplate(set: WorkerSet, model: MoEModel, controllers: Controllers): Tree {
  const { workers } = model.spec;
  const own: Tree = {
    metadata: {},
    spec: {
      automountServiceAccountToken: false,
      enableServiceLinks: false, // A Service called "conclave" would set CONCLAVE_PORT, which is a variable of ours.
      terminationGracePeriodSeconds: workers.drainTimeoutSeconds + ENDING_SECONDS,
      securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
      ...(workers.serviceAccountName === undefined ? {} : { serviceAccountName: workers.serviceAccountName }),
      ...(workers.imagePullSecrets.length === 0 ? {} : { imagePullSecrets: workers.imagePullSecrets }),
      ...(set.gpus > 0 ? { tolerations: [{ key: GPU, operator: 'Exists', effect: 'NoSchedule' }] } : {}),
      topologySpreadConstraints: [
        {
          maxSkew: 1,
          topologyKey: 'kubernetes.io/hostname',
          whenUnsatisfiable: 'ScheduleAnyway',
          labelSelector: { matchLabels: set.selector },
        },
      ],
      containers: [container(set, model, controllers)],
      volumes: volumes(model),
    },
  };
  const merged = set.templates.reduce<Tree>((below, over) => mergeTemplate(below, over), own);
  const metadata = merged['metadata'] as { readonly labels?: Tree } & Tree;
  return { ...merged, metadata: { ...metadata, labels: { ...metadata.labels, ...set.labels } } };
}

function container(set: WorkerSet, model: MoEModel, controllers: Controllers): Tree {
  const { workers } = model.spec;
  const probe = (path: string) => ({ httpGet: { path, port: 'metrics' }, timeoutSeconds: 5 });
  return {
    name: CONTAINER,
    image: workers.image,
    imagePullPolicy: workers.imagePullPolicy,
    args: workerArguments(set, model, controllers),
    env: environment(set, model, controllers),
    ports: [
      { name: 'grpc', containerPort: ports.grpc, protocol: 'TCP' },
      { name: 'metrics', containerPort: ports.metrics, protocol: 'TCP' },
    ],
    resources: withGpus(set.resources, set.gpus),
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    },
    startupProbe: { ...probe('/health'), periodSeconds: 2, failureThreshold: 60 },
    livenessProbe: { ...probe('/health'), periodSeconds: 10, failureThreshold: 6 },
    readinessProbe: { ...probe('/ready'), periodSeconds: 2 },
    volumeMounts: [
      { name: 'tmp', mountPath: '/tmp' },
      ...(sourceVolume(model) === null ? [] : [{ name: 'model', mountPath: MODEL_FOLDER, readOnly: true }]),
      ...(workers.tls === undefined ? [] : [{ name: 'tls', mountPath: TLS_FOLDER, readOnly: true }]),
    ],
  };
}

function workerArguments(set: WorkerSet, model: MoEModel, controllers: Controllers): readonly string[] {
  const { nats, tls, drainTimeoutSeconds } = model.spec.workers;
  const folder = modelFolder(model);
  const memory = memoryBytes(set);
  return [
    'worker',
    ...(folder === null ? [] : [folder]),
    ...['--nats', (nats.urls ?? controllers.natsUrls).join(','), '--cluster', controllers.cluster],
    ...['--id', '$(POD_NAME)', '--node', '$(NODE_NAME)', '--roles', set.roles.join(',')],
    ...['--host', '0.0.0.0', '--port', String(ports.grpc), '--metrics-port', String(ports.metrics)],
    ...['--advertise', `$(POD_NAME).${set.name}.$(POD_NAMESPACE).svc`],
    ...['--drain-timeout', `${drainTimeoutSeconds}s`],
    ...(memory === null ? [] : ['--memory', String(memory)]),
    ...(tls === undefined ? [] : tlsFlags()),
  ];
}

function tlsFlags(): readonly string[] {
  const file = (name: string) => `${TLS_FOLDER}/${name}`;
  return ['--tls-cert', file('tls.crt'), '--tls-key', file('tls.key'), '--tls-ca', file('ca.crt')];
}

function environment(set: WorkerSet, model: MoEModel, { options }: Controllers): readonly Tree[] {
  const field = (name: string, fieldPath: string) => ({ name, valueFrom: { fieldRef: { fieldPath } } });
  const secret = model.spec.workers.nats.secretName;
  const credentials = secret === undefined ? [] : ['user', 'password', 'token'];
  // Never silently on the CPU beside a GPU that was asked for, nor on one that was not.
  const device = set.gpus > 0 ? 'cuda' : 'cpu';
  return [
    field('POD_NAME', 'metadata.name'),
    field('POD_NAMESPACE', 'metadata.namespace'),
    field('NODE_NAME', 'spec.nodeName'),
    ...credentials.map((key) => ({
      name: variable(`nats-${key}`),
      valueFrom: { secretKeyRef: { name: secret, key, optional: true } },
    })),
    ...Object.entries({ device, ...set.options })
      .filter(([name]) => options.ofWorkers.has(name))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, value]) => ({ name: variable(name), value })),
  ];
}

/** "max-num-seqs" is CONCLAVE_MAX_NUM_SEQS. */
function variable(option: string): string {
  return `CONCLAVE_${option.replaceAll('-', '_').toUpperCase()}`;
}

/** Null: the model of the image. */
export function modelFolder({ spec: { source } }: MoEModel): string | null {
  if (source.folder !== undefined) return source.folder;
  const path = source.claim?.path ?? source.image?.path;
  return path === undefined ? null : `${MODEL_FOLDER}/${path}`.replace(/\/+$/, '');
}

/** The volume that the checkpoint is on; null: none is mounted for it. */
export function sourceVolume({ spec: { source } }: MoEModel): Tree | null {
  if (source.claim !== undefined) {
    return { name: 'model', persistentVolumeClaim: { claimName: source.claim.name, readOnly: true } };
  }
  if (source.image === undefined) return null;
  const { reference, pullPolicy } = source.image;
  return { name: 'model', image: { reference, pullPolicy } };
}

function volumes(model: MoEModel): readonly Tree[] {
  const source = sourceVolume(model);
  const { tls } = model.spec.workers;
  return [
    { name: 'tmp', emptyDir: {} },
    ...(source === null ? [] : [source]),
    ...(tls === undefined ? [] : [{ name: 'tls', secret: { secretName: tls.secretName, defaultMode: 0o440 } }]),
  ];
}

/** Null: the worker takes of what is free. */
function memoryBytes({ memory, resources, gpus }: WorkerSet): number | null {
  if (memory !== null) return Math.floor(quantity(memory) ?? 0) || null;
  const given = resources.limits?.['memory'] ?? resources.requests?.['memory'];
  return given === undefined || gpus > 0 ? null : Math.floor((quantity(given) ?? 0) * MEMORY_SHARE) || null;
}

function withGpus(resources: Resources, gpus: number): Resources {
  return gpus === 0 ? resources : { ...resources, limits: { ...resources.limits, [GPU]: String(gpus) } };
}

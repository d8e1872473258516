/** The operator as part of a controller: what the command line says, as the operator needs it. */
import type { Logger } from 'pino';
import { z } from 'zod';
import type { ClusterController } from '../../../controller/cluster/cluster-controller.ts';
import type { PoolScaling } from '../../../controller/cluster/control/control-service.ts';
import type { Controllers, KnownOptions } from '../../../controller/kubernetes/desired/controllers.ts';
import { Operator } from '../../../controller/kubernetes/operate/operator.ts';
import { poolScaling } from '../../../controller/kubernetes/operate/pool-scaling.ts';
import { systemClock } from '../../../platform/process/clock.ts';
import type { TlsSource } from '../../../platform/tls/tls-source.ts';
import type { ModelSpec } from '../../../proto/messages.ts';
import { expertCount } from '../../../proto/model/operators.ts';
import { type ControllerConfig, controllerSchema } from '../../config/controller-config.ts';
import { readNatsUrls } from '../../config/nats-urls.ts';
import { optionsOf } from '../../config/option.ts';
import { workerSchema } from '../../config/worker-config.ts';
import type { AskedConfig } from './asked-config.ts';
import { keepAuthorityBundle } from './authority-bundle.ts';
import { startRenewal } from './certificates.ts';
import { connectKubernetes, ownNamespace } from './connect.ts';
import { differencesFrom } from './differences.ts';

/** Groups of flags that say who and where a process is: the operator, or the chart, gives those. */
const ownGroups: ReadonlySet<string> = new Set(['NATS', 'TLS', 'Kubernetes', 'Certificates', 'Access']);

export interface OperatorParts {
  readonly controller: ClusterController;
  readonly config: ControllerConfig;
  readonly id: string;
  readonly spec: ModelSpec;
  readonly asked: AskedConfig;
  /** Why the checkpoint could not be served with another configuration. */
  readonly problems: (config: ControllerConfig) => readonly string[];
  /** Null: without TLS. */
  readonly tls: TlsSource | null;
  readonly log: Logger;
}

export interface RunningOperator {
  /** For ControlService, which scales pools whether or not this controller leads. */
  readonly pools: PoolScaling;
  stop(): Promise<void>;
}

/** Begins to watch, and to act while the controller leads. Throws a ConfigError where namespace or pod are not given. */
export function startOperator({
  controller,
  config,
  id,
  spec,
  asked,
  problems,
  tls,
  log,
}: OperatorParts): RunningOperator {
  const namespace = config.kubernetesNamespace ?? ownNamespace();
  const api = connectKubernetes(namespace);
  const operator = new Operator({
    ...{ api, id, clock: systemClock, wallClock: Date.now, random: Math.random },
    cluster: controller,
    controllers: {
      ...controllersOf(config, namespace),
      differences: differencesFrom(asked, problems),
    },
    expertsOf: (layer) => expertCount(spec.layers[layer]),
    publish: ({ kind, name }, { code, warning, message }) =>
      controller.events.publish({ code, severity: warning ? 'warning' : 'info', subject: `${kind}/${name}`, message }),
    onError: (what, error) => log.warn({ err: error }, what),
  });
  operator.start();
  const model = config.kubernetesModel ?? config.cluster;
  const external = config.externalMetricsPort !== null;
  const leads = () => controller.leads();
  const onError = (err: unknown) => log.warn({ err }, 'the APIService of the external metrics could not be changed');
  const endBundle = external && tls !== null ? keepAuthorityBundle({ api, tls, leads, onError }) : null;
  const renewal = startRenewal(config, { api, namespace, model }, controller);
  return {
    pools: poolScaling(api, namespace),
    stop: async () => {
      operator.stop();
      renewal?.close();
      await endBundle?.().catch(onError);
      api.close();
    },
  };
}

/** What the operator knows of the controllers that it is part of. */
export function controllersOf(config: ControllerConfig, namespace: string): Omit<Controllers, 'differences'> {
  const {
    cluster,
    kubernetesModel,
    kubernetesDeployment,
    kubernetesService: service,
    port,
    grpcPort,
    tlsCert,
  } = config;
  const scheme = tlsCert === null ? 'http' : 'https';
  const host = `${service}.${namespace}.svc`;
  return {
    cluster,
    namespace,
    natsUrls: readNatsUrls(config.nats ?? []).servers,
    model: kubernetesModel ?? cluster,
    deployment: kubernetesDeployment,
    modelChecksum: config.kubernetesModelChecksum,
    addresses: service === null ? null : { http: `${scheme}://${host}:${port}`, grpc: `${host}:${grpcPort}` },
    options: knownOptions(),
    expertReplicas: config.expertReplicas,
  };
}

function knownOptions(): KnownOptions {
  const given = (schema: Parameters<typeof optionsOf>[0]) =>
    new Map(
      optionsOf(schema)
        .filter(({ group, positional }) => positional !== true && !ownGroups.has(group))
        .map(({ name, key }) => [name, schema.shape[key]] as const),
    );
  const [ofWorkers, ofControllers] = [given(workerSchema), given(controllerSchema)];
  return {
    ofWorkers: new Set(ofWorkers.keys()),
    ofControllers: new Set(ofControllers.keys()),
    workerProblems: (options) =>
      Object.entries(options).flatMap(([name, value]) => problemsOf(ofWorkers.get(name), name, value)),
  };
}

function problemsOf(field: z.core.$ZodType | undefined, name: string, value: string): readonly string[] {
  const parsed = field === undefined ? null : z.safeParse(field, value);
  return parsed?.success === false ? parsed.error.issues.map(({ message }) => `${name}: ${message}`) : [];
}

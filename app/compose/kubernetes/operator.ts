/** The operator as part of a controller: what the command line says, as the operator needs it. */

import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import { z } from 'zod';
import type { ClusterController } from '../../../controller/cluster/cluster-controller.ts';
import type { PoolScaling } from '../../../controller/cluster/control/control-service.ts';
import type { Controllers, KnownOptions } from '../../../controller/kubernetes/desired/controllers.ts';
import { Operator } from '../../../controller/kubernetes/operate/operator.ts';
import { poolScaling } from '../../../controller/kubernetes/operate/pool-scaling.ts';
import { systemClock } from '../../../platform/process/clock.ts';
import type { ModelSpec } from '../../../proto/messages.ts';
import { expertCount } from '../../../proto/model/operators.ts';
import { type ControllerConfig, controllerSchema } from '../../config/controller-config.ts';
import { readNatsUrls } from '../../config/nats-urls.ts';
import { optionsOf } from '../../config/option.ts';
import { workerSchema } from '../../config/worker-config.ts';
import { startRenewal } from './certificates.ts';
import { connectKubernetes, ownNamespace } from './connect.ts';

/** Groups of flags that say who and where a process is: the operator, or the chart, gives those. */
const ownGroups: ReadonlySet<string> = new Set(['NATS', 'TLS', 'Kubernetes', 'Certificates', 'Access']);

export interface OperatorParts {
  readonly controller: ClusterController;
  readonly config: ControllerConfig;
  readonly id: string;
  readonly spec: ModelSpec;
  readonly log: Logger;
}

export interface RunningOperator {
  /** For ControlService, which scales pools whether or not this controller leads. */
  readonly pools: PoolScaling;
  stop(): void;
}

/** Begins to watch, and to act while the controller leads. Throws a ConfigError where namespace or pod are not given. */
export function startOperator({ controller, config, id, spec, log }: OperatorParts): RunningOperator {
  const namespace = config.kubernetesNamespace ?? ownNamespace();
  const api = connectKubernetes(namespace);
  const operator = new Operator({
    ...{ api, id, clock: systemClock, wallClock: Date.now, random: Math.random },
    cluster: controller,
    controllers: controllersOf(config, namespace),
    expertsOf: (layer) => expertCount(spec.layers[layer]),
    publish: ({ kind, name }, { code, warning, message }) =>
      controller.events.publish({ code, severity: warning ? 'warning' : 'info', subject: `${kind}/${name}`, message }),
    onError: (what, error) => log.warn({ err: error }, what),
  });
  operator.start();
  const model = config.kubernetesModel ?? config.cluster;
  const renewal = startRenewal(config, { api, namespace, model }, controller);
  return {
    pools: poolScaling(api, namespace),
    stop: () => {
      operator.stop();
      renewal?.close();
      api.close();
    },
  };
}

/** What the operator knows of the controllers that it is part of. */
export function controllersOf(config: ControllerConfig, namespace: string): Controllers {
  const { cluster, kubernetesModel, kubernetesService: service, port, grpcPort, tlsCert } = config;
  const scheme = tlsCert === null ? 'http' : 'https';
  const host = `${service}.${namespace}.svc`;
  return {
    cluster,
    namespace,
    natsUrls: readNatsUrls(config.nats ?? []).servers,
    model: kubernetesModel ?? cluster,
    addresses: service === null ? null : { http: `${scheme}://${host}:${port}`, grpc: `${host}:${grpcPort}` },
    options: knownOptions(config),
    running: {
      weights: config.weights,
      contextLength: config.maxModelLen,
      pipelines: config.pipelines,
      tensorParallelSize: config.tensorParallelSize,
      pipelineParallelSize: config.pipelineParallelSize,
      expertTensorParallelSize: config.expertTensorParallelSize,
      expertReplicas: config.expertReplicas,
    },
  };
}

function knownOptions(config: ControllerConfig): KnownOptions {
  const given = (schema: Parameters<typeof optionsOf>[0]) =>
    new Map(
      optionsOf(schema)
        .filter(({ group, positional }) => positional !== true && !ownGroups.has(group))
        .map(({ name, key }) => [name, { key, field: schema.shape[key] }] as const),
    );
  const [ofWorkers, ofControllers] = [given(workerSchema), given(controllerSchema)];
  const running: Readonly<Record<string, unknown>> = config;
  return {
    ofWorkers: new Set(ofWorkers.keys()),
    ofControllers: new Set(ofControllers.keys()),
    workerProblems: (options) =>
      Object.entries(options).flatMap(([name, value]) => read(ofWorkers.get(name)?.field, name, value).problems),
    differences: (options) =>
      Object.entries(options).flatMap(([name, value]) => {
        const { key = '', field } = ofControllers.get(name) ?? {};
        if (field === undefined) return [];
        const { data, problems } = read(field, name, value);
        if (problems.length > 0 || isDeepStrictEqual(data, running[key])) return problems;
        return [`${name}: ${value}, the controllers run with ${JSON.stringify(running[key])}`];
      }),
  };
}

/** A flag's value, or what is wrong with it. */
function read(field: z.core.$ZodType | undefined, name: string, value: string) {
  const parsed = field === undefined ? null : z.safeParse(field, value);
  const issues = parsed?.success === false ? parsed.error.issues : [];
  return { data: parsed?.data, problems: issues.map(({ message }) => `${name}: ${message}`) };
}

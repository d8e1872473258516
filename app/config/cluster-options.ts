/** Options of clusters: how its parts find and trust each other, and how the model is laid out over workers. */
import { option } from './option.ts';
import { choice, duration, fraction, integer, list, password, text, toggle } from './values.ts';

/** Where members meet. */
export const nats = {
  nats: option(list().nullable().default(null), {
    group: 'NATS',
    description:
      'NATS servers with JetStream (2.9 or newer), such as nats://10.0.0.1:4222; several, separated by commas. ' +
      'With credentials, nats://USER:PASSWORD@HOST:PORT, it is best given as CONCLAVE_NATS.',
    placeholder: 'URL',
    fallback: 'none; serve --workers starts one of its own',
    secret: true,
  }),
  cluster: option(name('a cluster').default('default'), {
    group: 'NATS',
    description: 'Name of the cluster: clusters with different names share NATS without meeting.',
    placeholder: 'NAME',
  }),
  natsUser: option(text().nullable().default(null), {
    group: 'NATS',
    description: 'User to connect as; the password is best given as CONCLAVE_NATS_PASSWORD.',
    placeholder: 'NAME',
    fallback: 'none',
  }),
  natsPassword: option(password().nullable().default(null), {
    group: 'NATS',
    description: 'Password of --nats-user. Other users can read flags: prefer the variable.',
    placeholder: 'PASSWORD',
    fallback: 'none',
    secret: true,
  }),
  natsToken: option(password().nullable().default(null), {
    group: 'NATS',
    description: 'Token to connect with. Other users can read flags: prefer CONCLAVE_NATS_TOKEN.',
    placeholder: 'TOKEN',
    fallback: 'none',
    secret: true,
  }),
  natsCredentials: option(text().nullable().default(null), {
    group: 'NATS',
    description: "File with a user's JWT and seed, as nsc writes it.",
    placeholder: 'FILE',
    fallback: 'none',
  }),
  natsNkey: option(text().nullable().default(null), {
    group: 'NATS',
    description: "File with a user's nkey seed.",
    placeholder: 'FILE',
    fallback: 'none',
  }),
  natsTimeout: option(duration().default(60_000), {
    group: 'NATS',
    description: 'At start: how long to wait for a NATS server to answer.',
    placeholder: 'TIME',
    fallback: '60s',
  }),
  natsReplicas: option(integer(1, 5).default(1), {
    group: 'NATS',
    description: 'Servers of a NATS cluster that keep a copy of what the cluster knows.',
    placeholder: 'N',
  }),
};

/** How connections are protected. */
export const tls = {
  tlsCert: option(text().nullable().default(null), {
    group: 'TLS',
    description:
      'PEM certificate of this process, for everything that it serves, and to prove who it is to others. ' +
      'New files are taken without a restart, here and for the key and the authorities.',
    placeholder: 'FILE',
    fallback: 'connections are not encrypted',
  }),
  tlsKey: option(text().nullable().default(null), {
    group: 'TLS',
    description: 'PEM private key of --tls-cert.',
    placeholder: 'FILE',
    fallback: 'none',
  }),
  tlsCa: option(text().nullable().default(null), {
    group: 'TLS',
    description:
      'PEM certificates of the authorities that signed the others. With it, every gRPC connection must show a certificate of theirs (mutual TLS); HTTP clients need none.',
    placeholder: 'FILE',
    fallback: "the system's authorities, and no client certificates",
  }),
};

/** Who must show a certificate where clients and operators come in. */
export const clientTls = {
  clientCertificates: option(choice('required', 'none').default('required'), {
    group: 'TLS',
    description:
      'With --tls-ca: whether clients and operators on the gRPC port must show a certificate of the authority besides their key. ' +
      'none: their keys alone let them in, as over HTTP.',
    placeholder: 'WHICH',
  }),
};

/** How the model is split. Null: the planner chooses. */
export const layout = {
  tensorParallelSize: option(integer(1, 1024).nullable().default(null), {
    group: 'Layout',
    description: 'Workers that share the attention heads and dense parts of a stage.',
    placeholder: 'N',
    fallback: 'as few as memory allows',
  }),
  pipelineParallelSize: option(integer(1, 1024).nullable().default(null), {
    group: 'Layout',
    description: 'Stages that the layers are cut into.',
    placeholder: 'N',
    fallback: 'as few as memory allows',
  }),
  expertTensorParallelSize: option(integer(1, 64).nullable().default(null), {
    group: 'Layout',
    description: 'Slices that each expert is cut into.',
    placeholder: 'N',
    fallback: '1, more only where an expert fits on no worker',
  }),
  expertReplicas: option(integer(1, 1024).default(1), {
    group: 'Layout',
    description: 'Copies of every expert on different workers, until "conclave scale" asks for others.',
    placeholder: 'N',
  }),
  rebalance: option(choice('auto', 'off').default('auto'), {
    group: 'Layout',
    description:
      'auto: experts follow the load that is measured; busy ones get replicas more and slots move, some at a time, while requests run. ' +
      'What "conclave scale" asks for wins. off: load alone moves nothing.',
    placeholder: 'MODE',
  }),
  expertRedundancy: option(fraction(0, 16).default(0.125), {
    group: 'Layout',
    description:
      "Replicas that --rebalance auto may give to the busiest experts of a layer beyond those asked for, as a part of the layer's experts, where memory allows.",
    placeholder: 'PART',
  }),
  pipelines: option(integer(1, 1024).default(1), {
    group: 'Layout',
    description: 'Independent pipelines, each with a lead worker of its own; they share the experts.',
    placeholder: 'N',
  }),
  minWorkers: option(integer(1, 100_000).nullable().default(null), {
    group: 'Layout',
    description: 'Workers that must have joined before the first plan is made.',
    placeholder: 'N',
    fallback: '1; with --workers, all of them',
  }),
  verifyWeights: option(toggle().default(true), {
    group: 'Layout',
    description: "Have workers compare every expert that they load with a checksum of the controller's own copy.",
  }),
};

/** How controllers make workers on Kubernetes. */
export const kubernetes = {
  kubernetes: option(toggle().default(false), {
    group: 'Kubernetes',
    description:
      'Run the operator: workers are made as a MoEModel and its ExpertPools say, by the controller that leads.',
  }),
  kubernetesModel: option(text().nullable().default(null), {
    group: 'Kubernetes',
    description: 'The MoEModel that these controllers serve.',
    placeholder: 'NAME',
    fallback: '--cluster',
  }),
  kubernetesNamespace: option(text().nullable().default(null), {
    group: 'Kubernetes',
    description: 'Namespace of its objects and pods.',
    placeholder: 'NAME',
    fallback: "the pod's own",
  }),
  kubernetesDeployment: option(text().nullable().default(null), {
    group: 'Kubernetes',
    description:
      'Deployment of the controllers, which is rolled out when the MoEModel changes in what they read at start.',
    placeholder: 'NAME',
    fallback: 'they are restarted by hand',
  }),
  kubernetesModelChecksum: option(text().nullable().default(null), {
    group: 'Kubernetes',
    description:
      'What annotation conclave.dev/model-checksum of the MoEModel said when the Deployment was made: where it says something else, whoever changed it is rolling out the Deployment too.',
    placeholder: 'TEXT',
    fallback: 'every change of the MoEModel is one that somebody made by hand',
  }),
  kubernetesService: option(text().nullable().default(null), {
    group: 'Kubernetes',
    description: 'Service in front of the controllers, for the addresses that the MoEModel shows.',
    placeholder: 'NAME',
    fallback: 'no addresses are shown',
  }),
};

/** What is reported to autoscalers. */
export const scaling = {
  ttftTarget: option(duration(1).default(2_000), {
    group: 'Scaling',
    description:
      'What the time to first token should be; conclave_time_to_first_token_target_ratio compares it with what it is.',
    placeholder: 'TIME',
    fallback: '2s',
  }),
  externalMetricsPort: option(integer(1, 65_535).nullable().default(null), {
    group: 'Scaling',
    description:
      "Port of Kubernetes' external metrics API, over HTTPS with --tls-cert, for HorizontalPodAutoscalers: the figures for scaling that /metrics has.",
    placeholder: 'PORT',
    fallback: 'none',
  }),
};

/** What a worker does about dispatches that are late. */
export const dispatching = {
  dispatchDeadline: option(duration().default(1_000), {
    group: 'Dispatch',
    description:
      'Least time that another worker gets to answer before its rows go elsewhere; the limit follows its latency above that.',
    placeholder: 'TIME',
    fallback: '1s',
  }),
  hedgeAfter: option(duration().nullable().default(null), {
    group: 'Dispatch',
    description: 'Time after which a dispatch is also sent to another replica; the first answer counts.',
    placeholder: 'TIME',
    fallback: 'never',
  }),
  overlapRows: option(integer(2, 1_000_000).default(128), {
    group: 'Dispatch',
    description:
      "Rows from which a step runs as two halves, so that one's network time hides behind the other's compute.",
    placeholder: 'N',
  }),
};

/** Id of a member: tokens of a bus key. Host names are. */
export function id(what: string) {
  return text().refine((value) => value.length <= 253 && /^[\w-]+(\.[\w-]+)*$/.test(value), {
    error: ({ input }) =>
      `expected the id of ${what}: 1 to 253 letters, digits, "-" or "_", with single dots between, as in a host name, got ${JSON.stringify(input)}`,
  });
}

/** A name that may be part of a bus's name. */
export function name(what: string) {
  return text().refine((value) => /^[A-Za-z0-9_-]{1,128}$/.test(value), {
    error: ({ input }) =>
      `expected the name of ${what}: 1 to 128 letters, digits, "-" or "_", got ${JSON.stringify(input)}`,
  });
}

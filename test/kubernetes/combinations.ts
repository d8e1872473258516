/** Combinations of values that users of the chart come with; every one must be what an API server takes. */
export const combinations: Readonly<Record<string, object>> = {
  'the defaults': {},
  'one of everything, on a laptop': {
    controller: { replicas: 1 },
    nats: { replicas: 1 },
    expertPools: { default: { replicas: 1 } },
    model: { expertReplicas: 1 },
  },
  'GPU nodes, two pools': {
    model: {
      source: { claim: { name: 'models', path: 'qwen3' } },
      layout: { tensorParallelSize: 2 },
      contextLength: 8192,
    },
    workers: {
      nodeSelector: { 'nvidia.com/gpu.present': 'true' },
      tolerations: [{ key: 'nvidia.com/gpu', operator: 'Exists', effect: 'NoSchedule' }],
      runtimeClassName: 'nvidia',
    },
    stages: { replicas: 2, gpus: 1, memory: '60Gi' },
    expertPools: {
      default: { replicas: 8, gpus: 1, expertReplicas: { default: 2, hot: { experts: 16, replicas: 4 } } },
      spare: { replicas: 2, resources: { requests: { memory: '64Gi' }, limits: { memory: '64Gi' } } },
    },
  },
  'images of a mirror, as an umbrella chart says it': {
    global: { imageRegistry: 'mirror.example', imagePullSecrets: ['mirror', { name: 'other' }], region: 'eu' },
    nats: { image: { digest: `sha256:${'0'.repeat(64)}` } },
  },
  'an existing NATS': {
    nats: { enabled: false, urls: ['tls://nats.messaging.svc:4222'], secretName: 'nats-credentials' },
  },
  'certificates by cert-manager': { security: { tls: { mode: 'certManager' } } },
  'certificates by an issuer of the cluster': {
    security: { tls: { mode: 'certManager', certManager: { issuerName: 'corporate', issuerKind: 'ClusterIssuer' } } },
  },
  'existing certificates and keys': {
    security: {
      tls: { mode: 'existing', secretNames: { controller: 'c-tls', worker: 'w-tls', nats: 'n-tls', client: 'x-tls' } },
      keys: { generate: false, apiSecretName: 'api', adminSecretName: 'admin' },
    },
  },
  'nothing secured': {
    security: { tls: { mode: 'disabled' }, keys: { generate: false }, networkPolicy: { enabled: false } },
  },
  'policies that name clients and Prometheus': {
    security: {
      networkPolicy: {
        clients: [{ namespaceSelector: { matchLabels: { team: 'search' } } }],
        monitoring: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'monitoring' } } }],
      },
    },
  },
  'a model from Hugging Face': {
    model: { source: { huggingFace: { repository: 'Qwen/Qwen3-30B-A3B', tokenSecretName: 'hub' } }, weights: 'q8' },
    workers: { extraEnv: [{ name: 'HTTPS_PROXY', value: 'http://proxy:3128' }] },
  },
  'a model in an image': {
    model: { source: { image: { reference: 'registry.example/models/qwen3:1' } }, servedNames: ['qwen3', 'qwen'] },
  },
  'a folder that extra volumes bring': {
    model: { source: { folder: '/weights/qwen3' } },
    workers: {
      extraVolumes: [{ name: 'weights', persistentVolumeClaim: { claimName: 'w' } }],
      extraVolumeMounts: [{ name: 'weights', mountPath: '/weights', readOnly: true }],
      initContainers: [{ name: 'look', image: 'busybox:1', command: ['ls', '/weights'] }],
    },
    controller: {
      extraVolumes: [{ name: 'weights', persistentVolumeClaim: { claimName: 'w' } }],
      extraVolumeMounts: [{ name: 'weights', mountPath: '/weights', readOnly: true }],
    },
  },
  'a horizontal pod autoscaler': {
    externalMetrics: { enabled: true },
    expertPools: { default: { autoscaling: { enabled: true, minReplicas: 2, maxReplicas: 16 } } },
  },
  KEDA: { expertPools: { default: { autoscaling: { enabled: true, kind: 'keda' } } } },
  'an ingress': {
    ingress: { enabled: true, className: 'nginx', hosts: [{ host: 'llm.example' }], tls: [{ hosts: ['llm.example'] }] },
  },
  'routes of a gateway': {
    httpRoute: { enabled: true, parentRefs: [{ name: 'edge' }], hostnames: ['llm.example'] },
    grpcRoute: { enabled: true, parentRefs: [{ name: 'edge' }] },
  },
  'all that Prometheus Operator and Grafana take': {
    monitoring: {
      serviceMonitor: { enabled: true },
      podMonitor: { enabled: true },
      prometheusRule: { enabled: true },
      dashboard: { enabled: true },
    },
  },
  'names, labels and annotations of a platform': {
    fullnameOverride: 'moe',
    commonLabels: { team: 'platform', 'app.kubernetes.io/part-of': 'platform' },
    commonAnnotations: { 'example.com/owner': 'platform' },
    imagePullSecrets: [{ name: 'registry' }],
    image: { repository: 'registry.example/conclave', digest: `sha256:${'0'.repeat(64)}` },
    controller: {
      priorityClassName: 'system-cluster-critical',
      service: { type: 'LoadBalancer', annotations: { 'example.com/internal': 'true' } },
      options: { 'max-queue': '64' },
    },
    model: { options: { 'max-num-seqs': '64' } },
  },
};

/** Values that are wrong, with what the refusal must name. */
export const refusals: readonly { readonly values: object; readonly names: readonly string[] }[] = [
  { values: { controller: { replica: 3 } }, names: ['controller', 'replica'] },
  { values: { nats: { replicas: 2 } }, names: ['nats', 'replicas', '1', '3', '5'] },
  { values: { nats: { enabled: false } }, names: ['nats', 'urls'] },
  { values: { image: { pullPolicy: 'Sometimes' } }, names: ['image', 'pullPolicy', 'IfNotPresent'] },
  { values: { security: { tls: { mode: 'none' } } }, names: ['security', 'tls', 'mode', 'managed'] },
  { values: { model: { contextLength: '4k' } }, names: ['model', 'contextLength', 'integer'] },
  { values: { stages: { memory: 'lots' } }, names: ['stages', 'memory'] },
  { values: { expertPools: { default: { replicas: -1 } } }, names: ['expertPools', 'default', 'replicas', '0'] },
  { values: { model: { options: { '--max-num-seqs': '4' } } }, names: ['model', 'options', '--max-num-seqs'] },
  { values: { model: { options: { 'max-num-seqs': 4 } } }, names: ['model', 'options', 'max-num-seqs', 'string'] },
  { values: { global: { imageRegistry: 1 } }, names: ['global', 'imageRegistry', 'string'] },
  { values: { nats: { image: { digest: 'latest' } } }, names: ['nats', 'image', 'digest', 'sha256'] },
  { values: { httpRoute: { enabled: true } }, names: ['httpRoute', 'parentRefs'] },
  {
    values: { model: { source: { folder: '/m', claim: { name: 'm' } } } },
    names: ['model.source', 'claim', 'folder'],
  },
];

/**
 * `conclave serve --workers N`: a controller in this process, N worker processes, and a nats-server of their own unless
 * one is given. Everything ends with this process.
 */
import type { Logger } from 'pino';
import { loadNative } from '../../native/load.ts';
import type { NatsOptions } from '../../platform/bus/nats-options.ts';
import { readMachine } from '../../platform/process/machine.ts';
import { channelCredentials } from '../../platform/tls/grpc-credentials.ts';
import { natsOptions, readTls } from '../config/connections.ts';
import { checkMemory } from '../config/given-memory.ts';
import type { ServeConfig } from '../config/serve-config.ts';
import { freePorts } from '../supervise/free-ports.ts';
import { gpuFreeBytes } from '../supervise/gpu-memory.ts';
import { startNats } from '../supervise/nats-process.ts';
import { startWorkerProcesses } from '../supervise/worker-processes.ts';
import { connectBus } from './connect-bus.ts';
import { type ClusterServer, startClusterServer } from './controller-process.ts';
import { findGpus } from './device.ts';
import { assignGpus, type WorkerDevice } from './worker-devices.ts';

export interface LocalCluster {
  readonly server: ClusterServer;
  /** Where each worker's /metrics are, by its id; such as "http://127.0.0.1:9101". */
  readonly metricsUrls: ReadonlyMap<string, string>;
  /** Settles when requests are answered; rejects when that cannot be. */
  untilReady(): Promise<void>;
  /** Refuses new requests, finishes those that run within `graceMs`, and ends everything. */
  stop(graceMs: number): Promise<void>;
}

const POLL_MS = 50;
/**
 * Workers and NATS of one's own listen on loopback only, with keys of their own, and speak plaintext: the certificate is for
 * the names by which others know this machine.
 */
const noTls = { tlsCert: null, tlsKey: null, tlsCa: null };
/** Workers are processes here, whatever else there may be. */
const noKubernetes = {
  ...{ kubernetes: false, kubernetesModel: null, kubernetesNamespace: null, kubernetesDeployment: null },
  ...{ kubernetesModelChecksum: null, kubernetesService: null },
  ...{ authority: null, certificate: null, certificateDays: 0, authorityDays: 0, authorityOverlap: 0 },
  externalMetricsPort: null,
};
/** Share of the free memory that workers divide among them. */
const MEMORY_SHARE = 0.9;

/** Starts everything; settles when requests are taken, whether or not workers can answer them yet. */
export async function startLocalCluster(config: ServeConfig, workers: number, log: Logger): Promise<LocalCluster> {
  const closers: ((graceMs: number) => Promise<void>)[] = [];
  const stop = async (graceMs: number): Promise<void> => {
    for (const close of closers.splice(0).reverse()) await close(graceMs);
  };
  try {
    const nats = config.nats === null ? await startNats(log) : null;
    if (nats !== null) closers.push(() => nats.stop());
    const inside = nats === null ? config : { ...config, ...noTls, nats: [nats.url], natsToken: nats.token };
    const tls = readTls(config, log);
    // Workers of one's own speak plaintext on loopback unless a NATS server that others use has been given.
    const credentials = nats === null ? tls.credentials : channelCredentials(null);
    const connection = natsOptions(inside, 'controller', nats === null ? tls.files : null);
    const bus = await connectBus(connection, config, log);
    closers.push(() => bus.close());
    const specs = await workerSpecs(inside, workerDevices(config, workers, log), connection);
    const processes = startWorkerProcesses({
      workers: specs,
      environment: secrets(connection),
      log,
    });
    closers.push(() => processes.stop());
    const clusterConfig = {
      ...{ ...config, ...noKubernetes, id: null, shutdownDelay: 0 },
      minWorkers: config.minWorkers ?? workers,
    };
    const server = await startClusterServer({
      config: clusterConfig,
      asked: null,
      tls: { ...tls, credentials },
      bus,
      log,
    });
    closers.push((graceMs) => server.stop(graceMs));
    return {
      server,
      metricsUrls: new Map(specs.map(({ id, metricsPort }) => [id, `http://127.0.0.1:${metricsPort}`])),
      untilReady: async () => {
        while (server.controller.obstacles().length > 0) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      },
      stop,
    };
  } catch (error) {
    await stop(0);
    throw error;
  }
}

/** What each worker computes with. */
function workerDevices(config: ServeConfig, workers: number, log: Logger): readonly WorkerDevice[] {
  const gpus = findGpus(loadNative, config, (reason) => log.info(`computing on the CPU: ${reason}`));
  if (gpus !== null) return assignGpus(config.device, workers, gpus, gpuFreeBytes);
  const { freeBytes, totalBytes } = readMachine();
  checkMemory('worker-memory', config.workerMemory, totalBytes);
  return Array.from({ length: workers }, () => ({
    device: 'cpu',
    memoryBytes: Math.floor((freeBytes * MEMORY_SHARE) / workers),
  }));
}

async function workerSpecs(config: ServeConfig, devices: readonly WorkerDevice[], { servers, user }: NatsOptions) {
  const machine = readMachine();
  const workers = devices.length;
  const free = await freePorts(2 * workers);
  const ports = free.slice(0, workers);
  const { workerMetricsPort: first } = config;
  const metricsPorts = first === null ? free.slice(workers) : ports.map((_, index) => first + index);
  const shared = [
    ...(config.model === null ? [] : [config.model]),
    ...flags({
      nats: servers.join(','),
      cluster: config.cluster,
      'nats-credentials': config.natsCredentials,
      'nats-nkey': config.natsNkey,
      'nats-user': user ?? null,
      'nats-replicas': config.natsReplicas,
      host: '127.0.0.1',
      isa: config.isa,
      'dispatch-deadline': `${config.dispatchDeadline}ms`,
      'hedge-after': config.hedgeAfter === null ? null : `${config.hedgeAfter}ms`,
      'overlap-rows': config.overlapRows,
      'tls-cert': config.tlsCert,
      'tls-key': config.tlsKey,
      'tls-ca': config.tlsCa,
      'log-level': config.logLevel,
      'log-format': 'json',
    }),
    ...(config.prefixCaching ? [] : ['--no-prefix-caching']),
  ];
  return ports.map((port, index) => {
    const id = `w${index + 1}`;
    const role = config.stageWorkers === null ? null : index < config.stageWorkers ? 'stage' : 'expert';
    const threads = config.threads ?? threadsOf(role, machine.cores, workers, config.stageWorkers ?? 0);
    const metricsPort = metricsPorts[index] ?? 0;
    const { device = 'cpu', memoryBytes = null } = devices[index] ?? {};
    const memory = config.workerMemory ?? memoryBytes;
    const own = flags({ id, port, roles: role, threads, device, memory, 'metrics-port': metricsPort });
    return { id, metricsPort, flags: [...shared, ...own] };
  });
}

/** Even shares of the cores. Stages wait while their experts compute and the other way round: each kind shares all cores. */
function threadsOf(role: 'stage' | 'expert' | null, cores: number, workers: number, stageWorkers: number): number {
  const sharers = role === null ? workers : role === 'stage' ? stageWorkers : workers - stageWorkers;
  return Math.max(1, Math.floor(cores / sharers));
}

function flags(values: Readonly<Record<string, string | number | null>>): readonly string[] {
  return Object.entries(values).flatMap(([name, value]) => (value === null ? [] : [`--${name}`, String(value)]));
}

/** What must not be flags, as every user of this machine can read those. */
function secrets({ token, password }: NatsOptions): Record<string, string> {
  return {
    ...(token !== undefined && { CONCLAVE_NATS_TOKEN: token }),
    ...(password !== undefined && { CONCLAVE_NATS_PASSWORD: password }),
  };
}

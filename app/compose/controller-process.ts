/**
 * A controller process: the gateway in front, a controller's part of the cluster behind it, one gRPC port for clients and
 * operators.
 */
import { hostname } from 'node:os';
import type { ChannelCredentials } from '@grpc/grpc-js';
import type { Logger } from 'pino';
import { createGateway, type Gateway } from '../../controller/api/gateway.ts';
import { type ClusterController, startClusterController } from '../../controller/cluster/cluster-controller.ts';
import { clusterMetrics } from '../../controller/cluster/cluster-metrics.ts';
import { adminAccess } from '../../controller/cluster/control/admin-access.ts';
import type { ScalingInput } from '../../controller/cluster/load/scaling-signals.ts';
import { FirstTokenTarget } from '../../controller/gateway/first-token-target.ts';
import { defaultConstraints, type PlanConstraints } from '../../controller/planner/input/input.ts';
import type { Bus } from '../../platform/bus/bus.ts';
import { memberErrorLog } from '../../platform/process/error-log.ts';
import type { ApiKeys } from '../../platform/rpc/api-keys.ts';
import { certificateMetrics } from '../../platform/tls/certificate-metrics.ts';
import { stateSlotsFor } from '../../proto/model/cache.ts';
import type { WeightsFormat } from '../../proto/weights-formats.ts';
import { readAdminKeys, readApiKeys } from '../config/api-keys.ts';
import type { Tls } from '../config/connections.ts';
import type { ControllerConfig } from '../config/controller-config.ts';
import { type ClusterCheckpoint, prepareClusterCheckpoint, servingProblems } from './cluster-checkpoint.ts';
import { addClusterDashboard } from './dashboards.ts';
import type { AskedConfig } from './kubernetes/asked-config.ts';
import { serveScaling } from './scaling.ts';

export interface ClusterServerOptions {
  readonly config: ControllerConfig;
  /** What the MoEModel had a part in; null: there is no operator. */
  readonly asked: AskedConfig | null;
  /** What is served with, and workers are reached with. */
  readonly tls: Pick<Tls, 'files' | 'server'> & { readonly credentials: ChannelCredentials };
  readonly bus: Bus;
  readonly log: Logger;
}

/** A controller that listens. */
export interface ClusterServer {
  readonly id: string;
  /** Such as "http://127.0.0.1:8000". */
  readonly httpUrl: string;
  /** host:port. */
  readonly grpcAddress: string;
  readonly model: ClusterModel;
  readonly controller: ClusterController;
  /** Sends clients elsewhere, and goes on answering those that come. */
  retire(): void;
  /** Refuses new requests, finishes those that run within `graceMs`, gives the lease up, and closes everything but the bus. */
  stop(graceMs: number): Promise<void>;
}

/** What the cluster serves. */
export interface ClusterModel {
  readonly name: string;
  readonly parameters: number;
  readonly activeParameters: number;
  readonly weights: WeightsFormat;
  readonly maxModelLen: number;
}

/** Joins the cluster and listens. Settles when requests are taken, whether or not workers can answer them yet. */
export async function startClusterServer(options: ClusterServerOptions): Promise<ClusterServer> {
  const { config, asked, tls, log } = options;
  const apiKeys = readApiKeys(config, log);
  const access = adminAccess(readAdminKeys(config, log), apiKeys);
  const checkpoint = await prepareClusterCheckpoint(config, log);
  const id = config.id ?? `${hostname()}-${process.pid}`;
  const controller = await joinCluster(id, checkpoint, options);
  try {
    logEvents(controller, log);
    const firstToken = new FirstTokenTarget(config.ttftTarget, () => performance.now());
    const scaling = () => ({ maxNumSeqs: config.maxNumSeqs, firstTokenRatio: firstToken.ratio() });
    const gateway = openGateway({ checkpoint, controller, apiKeys, firstToken, scaling }, options);
    const { spec, weights, served } = checkpoint;
    // The client library takes a second to load: only where it is used.
    const operator =
      asked === null
        ? null
        : (await import('./kubernetes/operator.ts')).startOperator({
            ...{ controller, config, id, spec, asked, log },
            problems: (next) => servingProblems(next, checkpoint),
            tls: tls.files,
          });
    if (gateway.grpc !== null) controller.serve(gateway.grpc, access, operator?.pools ?? null);
    const { host, externalMetricsPort: port } = config;
    const external = await serveScaling({ host, port, tls: tls.files, controller, input: scaling });
    addClusterDashboard(gateway.app, controller, apiKeys, access);
    const { httpPort, grpcPort } = await gateway.start();
    const authority = host.includes(':') ? `[${host}]` : host;
    const { parameters, activeParameters, maxModelLen } = served;
    return {
      id,
      httpUrl: `${tls.server === null ? 'http' : 'https'}://${authority}:${httpPort}`,
      grpcAddress: `${authority}:${grpcPort}`,
      model: { name: spec.name, parameters, activeParameters, weights, maxModelLen },
      controller,
      retire: () => gateway.retire(),
      stop: async (graceMs) => {
        await gateway.close(graceMs);
        await operator?.stop();
        await external?.close();
        await controller.close();
      },
    };
  } catch (error) {
    await controller.close();
    throw error;
  }
}

function joinCluster(
  id: string,
  { directory, spec, weights, served, cacheBlocks }: ClusterCheckpoint,
  { config, tls, bus, log }: ClusterServerOptions,
): Promise<ClusterController> {
  const { cluster, maxNumSeqs, maxNumBatchedTokens, minWorkers, verifyWeights } = config;
  return startClusterController({
    ...{ bus, cluster, id, directory, spec, weights, maxNumSeqs, maxNumBatchedTokens, verifyWeights },
    credentials: tls.credentials,
    maxModelLen: served.maxModelLen,
    constraints: planConstraints(config, cacheBlocks.wanted, stateSlotsFor(spec, config.maxNumSeqs)),
    leastKvBlocks: cacheBlocks.least,
    minWorkers: minWorkers ?? 1,
    rebalance: config.rebalance,
    onError: memberErrorLog(log, bus, () => performance.now()),
  });
}

interface GatewayParts {
  readonly checkpoint: ClusterCheckpoint;
  readonly controller: ClusterController;
  readonly apiKeys: ApiKeys;
  readonly firstToken: FirstTokenTarget;
  readonly scaling: () => Omit<ScalingInput, 'status'>;
}

function openGateway(
  { checkpoint, controller, apiKeys, firstToken, scaling }: GatewayParts,
  { config, tls, bus, log }: ClusterServerOptions,
): Gateway {
  const { host } = config;
  const gateway = createGateway({
    model: checkpoint.served,
    text: checkpoint.text,
    router: controller.router,
    http: { host, port: config.port },
    grpc: { host, port: config.grpcPort },
    logger: log,
    tls: tls.server,
    apiKeys,
    allowedOrigins: config.allowedOrigins,
    latencies: controller.latencies,
    defaultSeed: config.seed,
    obstacles: () => controller.obstacles(),
    patient: () => controller.patient(),
    onFirstToken: (ms) => firstToken.observe(ms),
    notices: () => (bus.state === 'connected' ? [] : ['the bus is away: requests are answered, plans do not change']),
    limits: {
      maxRequests: config.maxNumSeqs * config.pipelines + config.maxQueue,
      requestTimeoutMs: config.requestTimeout,
      maxBodyBytes: config.maxBodySize,
    },
  });
  clusterMetrics(gateway.metrics.registry, controller, bus, scaling);
  certificateMetrics(gateway.metrics.registry, tls.files);
  return gateway;
}

function logEvents({ events }: ClusterController, log: Logger): void {
  events.watch(({ severity, code, subject, message }) => {
    const line = { code, subject };
    if (severity === 'info') log.info(line, message);
    else log.warn(line, message);
  });
}

function planConstraints(config: ControllerConfig, kvBlocks: number, stateSlots: number): PlanConstraints {
  const { tensorParallelSize, pipelineParallelSize, expertTensorParallelSize, pipelines } = config;
  return {
    ...defaultConstraints,
    layout: { tensorParallelSize, pipelineParallelSize, expertTensorParallelSize, pipelines },
    defaultReplicas: config.expertReplicas,
    redundancy: config.rebalance === 'off' ? 0 : config.expertRedundancy,
    blockSize: config.blockSize,
    kvBlocks,
    stateSlots,
  };
}

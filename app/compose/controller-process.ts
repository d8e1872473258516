/**
 * A controller process: the gateway in front, a controller's part of the cluster behind it, one gRPC port for clients and
 * operators.
 */
import { hostname } from 'node:os';
import type { ChannelCredentials } from '@grpc/grpc-js';
import type { Logger } from 'pino';
import { createGateway } from '../../controller/api/gateway.ts';
import { clusterMetrics } from '../../controller/cluster/cluster-metrics.ts';
import { adminAccess } from '../../controller/cluster/control/admin-access.ts';
import { type ControllerNode, startControllerNode } from '../../controller/cluster/controller-node.ts';
import { openCheckpoint } from '../../controller/gateway/open-checkpoint.ts';
import { ownFormat } from '../../controller/model/own-format.ts';
import { defaultConstraints, type PlanConstraints } from '../../controller/planner/input/input.ts';
import { kvBytesPerToken, modelFootprint } from '../../controller/planner/input/memory.ts';
import { describeEnds } from '../../controller/text/end-tokens.ts';
import type { Bus } from '../../platform/bus/bus.ts';
import { memberErrorLog } from '../../platform/process/error-log.ts';
import { certificateMetrics } from '../../platform/tls/certificate-metrics.ts';
import type { ModelSpec } from '../../proto/messages.ts';
import type { WeightsFormat } from '../../proto/weights-formats.ts';
import { readAdminKeys, readApiKeys } from '../config/api-keys.ts';
import type { Tls } from '../config/connections.ts';
import type { ControllerConfig } from '../config/controller-config.ts';
import { unusedMemory } from '../config/given-memory.ts';
import { ConfigError } from '../config/load-config.ts';

export interface ClusterServerOptions {
  readonly config: ControllerConfig;
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
  readonly node: ControllerNode;
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
  const { config, tls, bus, log } = options;
  const { host, maxNumSeqs, maxNumBatchedTokens } = config;
  const id = config.id ?? `${hostname()}-${process.pid}`;
  const apiKeys = readApiKeys(config, log);
  const access = adminAccess(readAdminKeys(config, log), apiKeys);
  const { directory, spec, report, text, names } = await openCheckpoint(config.model, config.servedModelName);
  log[report.endTokens.length === 0 ? 'warn' : 'info'](`end tokens: ${describeEnds(report.endTokens)}`);
  const weights = config.weights === 'auto' ? ownFormat(report.bytesByType) : config.weights;
  const maxModelLen = longestSequence(config, spec);
  const blocks = cacheBlocks(config, spec, weights, maxModelLen, log);
  const node = await startControllerNode({
    bus,
    cluster: config.cluster,
    id,
    directory,
    spec,
    weights,
    maxModelLen,
    maxNumSeqs,
    maxNumBatchedTokens,
    constraints: planConstraints(config, blocks.wanted),
    leastKvBlocks: blocks.least,
    minWorkers: config.minWorkers ?? 1,
    verifyWeights: config.verifyWeights,
    credentials: tls.credentials,
    onError: memberErrorLog(log, bus, () => performance.now()),
  });
  try {
    logEvents(node, log);
    const gateway = createGateway({
      model: {
        names,
        maxModelLen,
        vocabSize: spec.vocabSize,
        eosTokenIds: spec.eosTokenIds,
        parameters: report.total.parameters,
        activeParameters: report.activeParameters,
        digest: spec.digest,
        created: Math.floor(Date.now() / 1_000),
      },
      text,
      router: node.router,
      http: { host, port: config.port },
      grpc: { host, port: config.grpcPort },
      logger: log,
      tls: tls.server,
      apiKeys,
      defaultSeed: config.seed,
      obstacles: () => node.obstacles(),
      patient: () => node.patient(),
      notices: () => (bus.state === 'connected' ? [] : ['the bus is away: requests are answered, plans do not change']),
      limits: {
        maxRequests: maxNumSeqs * config.pipelines + config.maxQueue,
        requestTimeoutMs: config.requestTimeout,
        maxBodyBytes: config.maxBodySize,
      },
    });
    // The client library takes a second to load: only where it is used.
    const kubernetes = config.kubernetes ? await import('./kubernetes.ts') : null;
    const operator = kubernetes?.startOperator({ node, config, id, spec, log }) ?? null;
    if (gateway.grpc !== null) node.serve(gateway.grpc, access, operator?.pools ?? null);
    clusterMetrics(gateway.metrics.registry, node, bus);
    certificateMetrics(gateway.metrics.registry, tls.files);
    const { httpPort, grpcPort } = await gateway.start();
    const authority = host.includes(':') ? `[${host}]` : host;
    const { parameters } = report.total;
    return {
      id,
      httpUrl: `${tls.server === null ? 'http' : 'https'}://${authority}:${httpPort}`,
      grpcAddress: `${authority}:${grpcPort}`,
      model: { name: spec.name, parameters, activeParameters: report.activeParameters, weights, maxModelLen },
      node,
      retire: () => gateway.retire(),
      stop: async (graceMs) => {
        await gateway.close(graceMs);
        operator?.stop();
        await node.close();
      },
    };
  } catch (error) {
    await node.close();
    throw error;
  }
}

function logEvents({ events }: ControllerNode, log: Logger): void {
  events.watch(({ severity, code, subject, message }) => {
    const line = { code, subject };
    if (severity === 'info') log.info(line, message);
    else log.warn(line, message);
  });
}

function planConstraints(config: ControllerConfig, kvBlocks: number): PlanConstraints {
  const { tensorParallelSize, pipelineParallelSize, expertTensorParallelSize, pipelines } = config;
  return {
    ...defaultConstraints,
    layout: { tensorParallelSize, pipelineParallelSize, expertTensorParallelSize, pipelines },
    defaultReplicas: config.expertReplicas,
    blockSize: config.blockSize,
    kvBlocks,
  };
}

/** Tokens. Throws a ConfigError when more are asked for than the model was made for. */
function longestSequence({ maxModelLen }: ControllerConfig, { maxPosition }: ModelSpec): number {
  if (maxModelLen !== null && maxModelLen > maxPosition) {
    throw new ConfigError([
      `--max-model-len: expected at most ${maxPosition}, the positions that the model was made for, got ${maxModelLen}`,
    ]);
  }
  return maxModelLen ?? maxPosition;
}

interface CacheBlocks {
  /** Blocks of a pipeline's cache if memory allows. */
  readonly wanted: number;
  /** Blocks below which nothing is planned. */
  readonly least: number;
}

/** As asked for by --kv-memory, or enough for all sequences at full length and at least for one. */
function cacheBlocks(
  { kvMemory, blockSize, maxNumSeqs, maxModelLen }: ControllerConfig,
  spec: ModelSpec,
  weights: WeightsFormat,
  longest: number,
  log: Logger,
): CacheBlocks {
  const perSequence = Math.ceil(longest / blockSize);
  if (kvMemory === null) {
    return { wanted: maxNumSeqs * perSequence, least: maxModelLen === null ? 1 : perSequence };
  }
  const blockBytes = blockSize * kvBytesPerToken(modelFootprint(spec, weights));
  const blocks = Math.floor(kvMemory / blockBytes);
  const needed = maxModelLen === null ? 1 : perSequence;
  if (blocks < needed) {
    throw new ConfigError([
      `--kv-memory: ${needed * blockSize} tokens need ${needed * blockBytes} bytes, got ${kvMemory}; raise it or lower --max-model-len`,
    ]);
  }
  const useful = maxNumSeqs * perSequence;
  if (blocks > useful) log.warn(unusedMemory(kvMemory, useful * blockBytes, maxNumSeqs, longest));
  const wanted = Math.min(blocks, useful);
  return { wanted, least: wanted };
}

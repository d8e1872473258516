/**
 * The whole of Conclave in one process: checkpoint → ModelSpec → placement plan → native engine → scheduler → gateway. The
 * only place where the controller meets a worker. It listens before it loads, so that a port in use is reported at once and
 * probes see a process that is alive but not ready.
 */
import type { Logger } from 'pino';
import { createGateway, type Gateway } from '../../controller/api/gateway.ts';
import { describeEnds } from '../../controller/text/end-tokens.ts';
import { loadNative } from '../../native/load.ts';
import type { Isa } from '../../native/native.ts';
import type { ApiKeys } from '../../platform/rpc/api-keys.ts';
import { certificateMetrics } from '../../platform/tls/certificate-metrics.ts';
import type { WeightsFormat } from '../../proto/weights-formats.ts';
import type { LocalHandles } from '../../worker/stage/local-executor.ts';
import { readApiKeys } from '../config/api-keys.ts';
import { readTls, type Tls } from '../config/connections.ts';
import type { ServeConfig } from '../config/serve-config.ts';
import { type PreparedCheckpoint, prepareCheckpoint } from './checkpoint.ts';
import { addEmbeddedDashboard } from './dashboards.ts';
import { deviceStatus, openDevice } from './device.ts';
import { EmbeddedEngine, type ShowProgress } from './embedded-engine.ts';
import { EmbeddedStatus } from './embedded-status.ts';

export interface EmbeddedOptions {
  readonly log: Logger;
  readonly onProgress: ShowProgress;
}

/** What is served, and with what. */
export interface EmbeddedModel {
  readonly name: string;
  /** Whether it is the bundled demo model. */
  readonly demo: boolean;
  readonly parameters: number;
  readonly activeParameters: number;
  readonly weights: WeightsFormat;
  readonly weightBytes: number;
  readonly threads: number;
  readonly isa: Isa;
  /** "cpu", or the id of a GPU. */
  readonly device: string;
  /** Name of the GPU; null: the CPU computes. */
  readonly gpu: string | null;
  readonly maxModelLen: number;
  readonly cacheBytes: number;
  /** Positions that the KV cache holds. */
  readonly cacheTokens: number;
}

/** A server that answers. */
export interface Embedded {
  /** Such as "http://127.0.0.1:8000". */
  readonly httpUrl: string;
  /** host:port. */
  readonly grpcAddress: string;
  readonly model: EmbeddedModel;
  /** Settles when the engine has failed for good. */
  readonly fault: Promise<Error>;
  /** Refuses new requests, finishes those that run within `graceMs`, ends the others, and frees everything. */
  stop(graceMs: number): Promise<void>;
}

/** Starts serving. Settles when requests are answered; rejects, with everything closed, when that cannot be. */
export async function startEmbedded(config: ServeConfig, { log, onProgress }: EmbeddedOptions): Promise<Embedded> {
  const apiKeys = readApiKeys(config, log);
  const tls = readTls(config, log);
  const native = loadNative();
  const onFallback = (reason: string): void => log.info(`computing on the CPU: ${reason}`);
  const checkpoint = await prepareCheckpoint(config, openDevice(native, config, onFallback), onFallback);
  const { endTokens } = checkpoint.report;
  log[endTokens.length === 0 ? 'warn' : 'info'](`end tokens: ${describeEnds(endTokens)}`);
  for (const warning of [...checkpoint.report.warnings, ...checkpoint.memory.warnings]) log.warn(warning);
  const engine = new EmbeddedEngine({ config, checkpoint, native, log, onProgress });
  const status = new EmbeddedStatus(checkpoint.spec, () => performance.now(), deviceStatus(checkpoint.device));
  const gateway = openGateway(config, { checkpoint, engine, status, tls, apiKeys, log });
  const stop = async (graceMs: number): Promise<void> => {
    await gateway.close(graceMs);
    status.stop();
    await engine.close();
  };
  try {
    const { httpPort, grpcPort } = await gateway.start();
    const { host } = config;
    log.info({ host, httpPort, grpcPort }, 'listening; the model is loading');
    const handles = await engine.load();
    status.start(engine, handles);
    const authority = host.includes(':') ? `[${host}]` : host;
    return {
      httpUrl: `${tls.server === null ? 'http' : 'https'}://${authority}:${httpPort}`,
      grpcAddress: `${authority}:${grpcPort}`,
      model: describeModel(config, checkpoint, handles),
      fault: engine.fault,
      stop,
    };
  } catch (error) {
    await stop(0);
    throw error;
  }
}

interface GatewayParts {
  readonly checkpoint: PreparedCheckpoint;
  readonly engine: EmbeddedEngine;
  readonly status: EmbeddedStatus;
  readonly tls: Tls;
  readonly apiKeys: ApiKeys;
  readonly log: Logger;
}

function openGateway(config: ServeConfig, { checkpoint, engine, status, tls, apiKeys, log }: GatewayParts): Gateway {
  const { host } = config;
  const gateway = createGateway({
    model: checkpoint.served,
    text: checkpoint.text,
    router: engine,
    http: { host, port: config.port },
    grpc: { host, port: config.grpcPort },
    logger: log,
    tls: tls.server,
    apiKeys,
    allowedOrigins: config.allowedOrigins,
    engine: () => engine.snapshot(),
    latencies: status.latencies,
    defaultSeed: config.seed,
    obstacles: () => engine.obstacles(),
    limits: {
      maxRequests: config.maxNumSeqs + config.maxQueue,
      requestTimeoutMs: config.requestTimeout,
      maxLostMs: 0,
      maxBodyBytes: config.maxBodySize,
    },
  });
  addEmbeddedDashboard(gateway.app, () => status.status(engine.obstacles()[0] ?? ''), apiKeys);
  certificateMetrics(gateway.metrics.registry, tls.files);
  return gateway;
}

function describeModel(
  config: ServeConfig,
  { spec, served, weights, threads, memory, device }: PreparedCheckpoint,
  { stage, bank, runtime }: LocalHandles,
): EmbeddedModel {
  const { cache } = memory;
  return {
    name: spec.name,
    demo: config.model === null,
    parameters: served.parameters,
    activeParameters: served.activeParameters,
    weights,
    weightBytes: stage.weightBytes + bank.bytes,
    threads,
    isa: runtime.isa,
    device: device.id,
    gpu: device.gpu?.name ?? null,
    maxModelLen: cache.maxModelLen,
    cacheBytes: cache.bytes,
    cacheTokens: cache.kvBlocks * config.blockSize,
  };
}

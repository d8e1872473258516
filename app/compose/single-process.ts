/**
 * The whole of Conclave in one process: checkpoint → ModelSpec → placement plan → native engine → scheduler → gateway. The
 * only place where the controller meets a worker. It listens before it loads, so that a port in use is reported at once and
 * probes see a process that is alive but not ready.
 */
import type { Logger } from 'pino';
import { createGateway } from '../../controller/api/gateway.ts';
import { describeEnds } from '../../controller/text/end-tokens.ts';
import { loadNative } from '../../native/load.ts';
import type { Isa } from '../../native/native.ts';
import { certificateMetrics } from '../../platform/tls/certificate-metrics.ts';
import type { WeightsFormat } from '../../proto/weights-formats.ts';
import { createEngine, type Engine } from '../../worker/engine/engine.ts';
import type { EngineSnapshot } from '../../worker/engine/run/observer.ts';
import { createLocalExecutor } from '../../worker/stage/local-executor.ts';
import { readApiKeys } from '../config/api-keys.ts';
import { readTls } from '../config/connections.ts';
import type { ServeConfig } from '../config/serve-config.ts';
import { prepareCheckpoint } from './checkpoint.ts';
import { engineLog } from './engine-log.ts';

export interface EmbeddedOptions {
  readonly log: Logger;
  /** Starts showing a task that is counted in bytes. */
  readonly onProgress: (task: string) => (doneBytes: number, totalBytes: number) => void;
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
  const closers: ((graceMs: number) => Promise<void> | void)[] = [];
  const stop = async (graceMs: number): Promise<void> => {
    for (const close of closers.splice(0)) await close(graceMs);
  };
  const apiKeys = readApiKeys(config, log);
  const tls = readTls(config, log);
  const native = loadNative();
  const { directory, spec, report, text, weights, threads, memory, served } = await prepareCheckpoint(config);
  log[report.endTokens.length === 0 ? 'warn' : 'info'](`end tokens: ${describeEnds(report.endTokens)}`);
  const { warnings, cache } = memory;
  for (const warning of warnings) log.warn(warning);
  const { host, blockSize, maxNumSeqs: maxSequences } = config;

  let engine: Engine | null = null;
  let obstacle = 'the model is loading';
  const gateway = createGateway({
    model: served,
    text,
    router: { pick: (_, avoid) => (engine === null || avoid.has(engine) ? null : engine) },
    http: { host, port: config.port },
    grpc: { host, port: config.grpcPort },
    logger: log,
    tls: tls.server,
    apiKeys,
    engine: () => engine?.snapshot() ?? nothingYet,
    defaultSeed: config.seed,
    obstacles: () => (engine === null ? [obstacle] : []),
    limits: {
      maxRequests: maxSequences + config.maxQueue,
      requestTimeoutMs: config.requestTimeout,
      maxLostMs: 0,
      maxBodyBytes: config.maxBodySize,
    },
  });
  certificateMetrics(gateway.metrics.registry, tls.files);
  closers.push((graceMs) => gateway.close(graceMs));
  try {
    const { httpPort, grpcPort } = await gateway.start();
    log.info({ host, httpPort, grpcPort }, 'listening; the model is loading');
    const tasks: Partial<Record<keyof typeof loadTasks, ReturnType<typeof onProgress>>> = {};
    const executor = await createLocalExecutor({
      native,
      directory,
      spec,
      weights,
      threads,
      isa: config.isa === 'auto' ? null : config.isa,
      limits: () => ({ kvBlocks: cache.kvBlocks, blockSize, stateSlots: 0 }),
      onProgress: (part, doneBytes, totalBytes) => {
        obstacle = `the model is loading: ${loadTasks[part]}, ${Math.floor((100 * doneBytes) / Math.max(1, totalBytes))} %`;
        tasks[part] ??= onProgress(loadTasks[part]);
        tasks[part](doneBytes, totalBytes);
      },
    });
    closers.push(() => executor.close());
    let onFault: (error: Error) => void = () => {};
    const fault = new Promise<Error>((resolve) => {
      onFault = resolve;
    });
    const started = createEngine({
      executor,
      model: { vocabSize: spec.vocabSize, eosTokenIds: spec.eosTokenIds },
      limits: {
        maxModelLen: cache.maxModelLen,
        maxSequences,
        maxBatchedTokens: config.maxNumBatchedTokens,
        maxWaiting: config.maxQueue,
      },
      observer: engineLog(log, onFault),
      prefixCaching: config.prefixCaching,
    });
    closers.splice(1, 0, () => started.close(0));
    engine = started;

    const authority = host.includes(':') ? `[${host}]` : host;
    const { stage, bank, runtime } = executor.handles;
    return {
      httpUrl: `${tls.server === null ? 'http' : 'https'}://${authority}:${httpPort}`,
      grpcAddress: `${authority}:${grpcPort}`,
      model: {
        name: spec.name,
        demo: config.model === null,
        parameters: served.parameters,
        activeParameters: served.activeParameters,
        weights,
        weightBytes: stage.weightBytes + bank.bytes,
        threads,
        isa: runtime.isa,
        maxModelLen: cache.maxModelLen,
        cacheBytes: cache.bytes,
        cacheTokens: cache.kvBlocks * blockSize,
      },
      fault,
      stop,
    };
  } catch (error) {
    await stop(0);
    throw error;
  }
}

const loadTasks = {
  experts: 'loading experts',
  stage: 'loading attention and embeddings',
  cache: 'preparing the KV cache',
} as const;

const nothingYet: Pick<
  EngineSnapshot,
  'running' | 'waiting' | 'kvUsage' | 'prefixQueriedTokens' | 'prefixHitTokens' | 'preemptions'
> = { running: 0, waiting: 0, kvUsage: 0, prefixQueriedTokens: 0, prefixHitTokens: 0, preemptions: 0 };

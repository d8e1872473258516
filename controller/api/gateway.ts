/**
 * The gateway: clients' requests over HTTP and gRPC in, a pipeline's tokens out.
 *
 *   const gateway = createGateway({
 *     model, text: await loadTextModel(directory), router: singlePipeline(engine), engine: () => engine.snapshot(),
 *     http: { host: '0.0.0.0', port: 8000 }, grpc: { host: '0.0.0.0', port: 8001 }, logger,
 *   });
 *   const { httpPort, grpcPort } = await gateway.start();
 *   …
 *   await gateway.close(30_000);
 */
import type { FastifyBaseLogger, FastifyInstance } from 'fastify';
import { throttledErrorLog } from '../../platform/process/error-log.ts';
import { type ApiKeys, openAccess } from '../../platform/rpc/api-keys.ts';
import { createGrpcServer, type GrpcServer } from '../../platform/rpc/server.ts';
import type { ServerTls } from '../../platform/tls/tls-source.ts';
import { Inference, type ServedModel } from '../gateway/inference.ts';
import type { LatencyMeter } from '../gateway/latency/latency-meter.ts';
import type { PipelineRouter } from '../gateway/router.ts';
import type { TextModel } from '../text/text-model.ts';
import { addInferenceService } from './grpc/inference-service.ts';
import { createHttpServer, type HttpServer } from './http/http-server.ts';
import type { EngineSnapshot } from './metrics/engine-metrics.ts';
import { createMetrics, type Metrics } from './metrics/metrics.ts';

export interface Listen {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
}

export interface GatewayOptions {
  readonly model: ServedModel;
  readonly text: TextModel;
  readonly router: PipelineRouter;
  readonly http: Listen;
  /** Null: no gRPC. */
  readonly grpc: Listen | null;
  readonly logger: FastifyBaseLogger;
  /** For HTTP and gRPC; null: neither is encrypted. Only gRPC's clients may have to show a certificate. */
  readonly tls?: ServerTls | null;
  /** Default: everyone is let in. */
  readonly apiKeys?: ApiKeys;
  /** Sites whose pages may use the API from a browser; null, the default: all where no key is needed, else none. */
  readonly allowedOrigins?: readonly string[] | null;
  /** What the engine holds, for metrics; null where none runs in this process. */
  readonly engine?: (() => EngineSnapshot) | null;
  /** Counts the times of requests; null, the default: only /metrics do. */
  readonly latencies?: LatencyMeter | null;
  /** Seed of requests that bring none; null, the default: drawn at random for each. */
  readonly defaultSeed?: bigint | null;
  /** Why requests cannot be answered now, such as "the model is loading"; empty: they can. */
  readonly obstacles?: () => readonly string[];
  /** Whether requests are let in, and wait, although there are obstacles. Default: they are refused. */
  readonly patient?: () => boolean;
  /** What /ready says although requests can be answered, such as that the control plane is away. */
  readonly notices?: () => readonly string[];
  readonly limits?: Partial<GatewayLimits>;
  /** Whether /metrics reports the process itself. Default true. */
  readonly processMetrics?: boolean;
  /** Called with each request's time to its first token, in milliseconds. */
  readonly onFirstToken?: (sinceArrivalMs: number) => void;
}

export interface GatewayLimits {
  /** Requests at a time; more get 429. */
  readonly maxRequests: number;
  /** Longest that a request may take, in milliseconds; null: no limit. */
  readonly requestTimeoutMs: number | null;
  /** Longest that a request waits for a lost pipeline to come back, or for another one. */
  readonly maxLostMs: number;
  readonly maxBodyBytes: number;
  /** Bytes of all HTTP request bodies together; more get 429. */
  readonly maxBodyBytesTogether: number;
  readonly maxHeaderBytes: number;
  /** Time in which a request must have arrived. */
  readonly receiveTimeoutMs: number;
}

export const defaultGatewayLimits: GatewayLimits = {
  maxRequests: 2048,
  requestTimeoutMs: null,
  maxLostMs: 120_000,
  maxBodyBytes: 16 * 2 ** 20,
  maxBodyBytesTogether: 512 * 2 ** 20,
  maxHeaderBytes: 16 * 2 ** 10,
  receiveTimeoutMs: 60_000,
};

export interface Gateway {
  /** Where further routes (a dashboard) may be added before `start`. */
  readonly app: FastifyInstance;
  /** Where further services may be added before `start`; null without gRPC. */
  readonly grpc: GrpcServer | null;
  readonly metrics: Metrics;
  /** Listens on both ports, and says which they are. */
  start(): Promise<{ readonly httpPort: number; readonly grpcPort: number | null }>;
  /**
   * Sends clients elsewhere, for a load balancer in front to learn it before `close`: health checks say no, connections end
   * with what they wait for, and requests that still come are answered.
   */
  retire(): void;
  /**
   * Takes no new request, finishes those that run, ends what is left after `graceMs`, and stops listening. /ready says
   * no from the first moment, /health and /metrics answer until the end.
   */
  close(graceMs: number): Promise<void>;
}

/** How often health checks over gRPC are brought up to date. */
const healthIntervalMs = 100;
/** Time for the last bytes to leave once all requests have ended. */
const closingMs = 1_000;

export function createGateway(options: GatewayOptions): Gateway {
  const limits: GatewayLimits = { ...defaultGatewayLimits, ...options.limits };
  const { logger, text } = options;
  const metrics = createMetrics({ engine: options.engine ?? null, processMetrics: options.processMetrics ?? true });
  const inference = createInference(options, limits, metrics);
  metrics.addRunningRequests(() => inference.admission.running);
  const http = createHttp(options, limits, inference, metrics);
  const grpc = options.grpc === null ? null : createGrpc(options, options.grpc, limits, inference);
  const health = new HealthUpdates(inference, grpc);

  return {
    app: http.app,
    grpc,
    metrics,
    async start() {
      if (text.chatObstacle !== null) logger.warn(`chat is not served: ${text.chatObstacle}`);
      const httpPort = await http.start();
      const grpcPort = (await grpc?.start()) ?? null;
      health.start();
      return { httpPort, grpcPort };
    },
    retire() {
      inference.admission.retire();
      health.stop();
      http.retirement.begin();
      grpc?.retire();
    },
    async close(graceMs) {
      const late = new AbortController();
      late.signal.addEventListener('abort', () => {
        inference.admission.drain();
        inference.admission.abortAll();
      });
      const timer = setTimeout(() => late.abort(), graceMs);
      if (inference.admission.retiring) await http.retirement.finish(late.signal);
      inference.admission.drain();
      health.stop();
      await inference.admission.empty();
      clearTimeout(timer);
      await Promise.all([http.close(closingMs), grpc?.close(closingMs), text.close()]);
    },
  };
}

function createInference(options: GatewayOptions, limits: GatewayLimits, metrics: Metrics): Inference {
  const { logger } = options;
  const now = (): number => performance.now();
  const writeLoss = throttledErrorLog((lead, err, more) => {
    const fields = { err, lead, ...(more > 0 && { repeated: more }) };
    logger.warn(fields, 'a pipeline was lost; its requests go on elsewhere, or there once it is back');
  }, now);
  const observer = {
    ...metrics,
    onFirstToken(sinceArrivalMs: number, queueMs: number) {
      metrics.onFirstToken(sinceArrivalMs, queueMs);
      options.onFirstToken?.(sinceArrivalMs);
    },
  };
  return new Inference({
    model: options.model,
    text: options.text,
    router: options.router,
    observer: options.latencies?.observe(observer) ?? observer,
    maxRequests: limits.maxRequests,
    requestTimeoutMs: limits.requestTimeoutMs,
    maxLostMs: limits.maxLostMs,
    defaultSeed: options.defaultSeed ?? null,
    obstacles: options.obstacles ?? (() => []),
    patient: options.patient ?? (() => false),
    notices: options.notices ?? (() => []),
    now,
    onLost: (requestId, error) => {
      logger.debug({ err: error, requestId }, 'a request is tried again');
      writeLoss(addressOf(error), error);
    },
  });
}

function createHttp(
  { http, tls = null, apiKeys = openAccess, allowedOrigins = null, logger }: GatewayOptions,
  limits: GatewayLimits,
  inference: Inference,
  metrics: Metrics,
): HttpServer {
  return createHttpServer(inference, metrics, {
    ...http,
    tls: tls?.source ?? null,
    apiKeys,
    allowedOrigins: allowedOrigins ?? (apiKeys === openAccess ? ['*'] : []),
    maxBodyBytes: limits.maxBodyBytes,
    maxBodyBytesTogether: Math.max(limits.maxBodyBytesTogether, limits.maxBodyBytes),
    maxHeaderBytes: limits.maxHeaderBytes,
    receiveTimeoutMs: limits.receiveTimeoutMs,
    logger,
  });
}

function createGrpc(
  { tls = null, apiKeys = openAccess, logger }: GatewayOptions,
  listen: Listen,
  limits: GatewayLimits,
  inference: Inference,
): GrpcServer {
  const grpc = createGrpcServer({
    ...{ ...listen, tls, apiKeys, maxMessageBytes: limits.maxBodyBytes },
    onCall: ({ path, status, elapsedMs, requestId }) =>
      logger.debug({ path, status, ms: Math.round(elapsedMs * 10) / 10, requestId }, 'gRPC'),
  });
  addInferenceService(grpc, inference, (err) => logger.error({ err }, 'a gRPC request failed'));
  return grpc;
}

/** Keeps health checks over gRPC up to date. */
class HealthUpdates {
  readonly #inference: Inference;
  readonly #grpc: GrpcServer | null;
  #timer: NodeJS.Timeout | undefined;
  #serving = false;

  constructor(inference: Inference, grpc: GrpcServer | null) {
    this.#inference = inference;
    this.#grpc = grpc;
  }

  start(): void {
    this.#update();
    this.#timer = setInterval(() => this.#update(), healthIntervalMs).unref();
  }

  /** Says a last time how it is. */
  stop(): void {
    this.#update();
    clearInterval(this.#timer);
  }

  #update(): void {
    const now = this.#inference.unreadiness().length === 0;
    if (now !== this.#serving) this.#grpc?.setServing(now);
    this.#serving = now;
  }
}

/** Where the pipeline ran whose error this is; errors of a pipeline in this process have no address. */
function addressOf(error: unknown): string {
  return error instanceof Error && 'address' in error ? String(error.address) : 'this process';
}

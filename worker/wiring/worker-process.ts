/** A worker with its log, its metrics and the port where they are read. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Logger } from 'pino';
import { memberErrorLog, throttledErrorLog } from '../../platform/process/error-log.ts';
import { certificateMetrics } from '../../platform/tls/certificate-metrics.ts';
import type { TlsFiles } from '../../platform/tls/tls-source.ts';
import type { Readiness } from '../agent/readiness.ts';
import type { EngineObserver } from '../engine/run/observer.ts';
import { errorCode } from '../errors.ts';
import { type ClusterWorker, type ClusterWorkerOptions, startClusterWorker } from './cluster-worker.ts';
import { coldLoadLog, failureLog, stepFailureLog } from './failure-log.ts';
import { createWorkerMetrics, type WorkerMetrics } from './metrics.ts';
import type { WorkerObserver } from './worker-observer.ts';

export interface WorkerProcessOptions extends Omit<ClusterWorkerOptions, 'observer'> {
  readonly log: Logger;
  /** Shown in the metrics; null: connections are not encrypted. */
  readonly certificate: TlsFiles | null;
  /** Port of /metrics, /health and /ready on `host`; 0: any free one, null: none. */
  readonly metricsPort: number | null;
  /** The device computes no more. The process must end at once: its work goes on elsewhere when it is seen to be gone. */
  readonly onDeviceLost: (message: string) => void;
}

export interface WorkerProcess {
  readonly member: ClusterWorker;
  /** Such as "http://127.0.0.1:9100"; null without a port. */
  readonly metricsUrl: string | null;
  /** Settles when the engine has failed for good. */
  readonly fault: Promise<Error>;
  close(): Promise<void>;
}

/** Joins a cluster; see startClusterWorker. */
export async function startWorkerProcess(options: WorkerProcessOptions): Promise<WorkerProcess> {
  const { bus } = options;
  let member: ClusterWorker | null = null;
  const metrics = createWorkerMetrics({
    bus: () => bus.state,
    planEpoch: () => member?.snapshot().planEpoch ?? 0,
    slots: () => member?.snapshot().slots ?? 0,
    expertBytes: () => member?.snapshot().expertBytes ?? 0,
    coldSlots: () => member?.snapshot().coldSlots ?? 0,
    busyRatio: () => member?.snapshot().busyRatio ?? 0,
    engine: () => member?.snapshot().engine ?? null,
  });
  certificateMetrics(metrics.registry, options.certificate);
  let onFault: (error: Error) => void = () => undefined;
  const fault = new Promise<Error>((resolve) => {
    onFault = resolve;
  });
  const http = options.metricsPort === null ? null : metricsServer(metrics, () => member?.readiness() ?? JOINING);
  const metricsPort = http === null ? null : await http.listen(options.host, options.metricsPort ?? 0);
  const requestIds = (): readonly string[] => member?.snapshot().requestIds ?? [];
  try {
    member = await startClusterWorker({ ...options, observer: observe(options, metrics, requestIds, onFault) });
  } catch (error) {
    await http?.close();
    throw error;
  }
  const started = member;
  const authority = options.host.includes(':') ? `[${options.host}]` : options.host;
  return {
    member: started,
    metricsUrl: metricsPort === null ? null : `http://${authority}:${metricsPort}`,
    fault,
    close: async () => {
      await started.close();
      await http?.close();
    },
  };
}

function observe(
  { log, bus, onDeviceLost }: WorkerProcessOptions,
  metrics: WorkerMetrics,
  requestIds: () => readonly string[],
  onFault: (error: Error) => void,
): WorkerObserver {
  const now = (): number => performance.now();
  const writeFailure = failureLog({ log, requestIds, now });
  const writeColdLoad = coldLoadLog({ log, requestIds, now });
  const writeStepFailure = stepFailureLog(log, now);
  const writeRefusal = throttledErrorLog(
    (code, message, more) =>
      log.warn({ code, ...(more > 0 && { repeated: more }) }, `refused a dispatch: ${String(message)}`),
    now,
  );
  const nothing = (): void => undefined;
  const endWithDevice = (error: unknown): void => {
    if (error instanceof Error && errorCode(error) === 'DEVICE_LOST') onDeviceLost(error.message);
  };
  const engine: EngineObserver = {
    onStep: ({ executeMs }) => metrics.stepped(executeMs),
    onPreemption: (requestId, index) => log.debug({ requestId, index }, 'preempted: the KV cache is full'),
    onStarted: nothing,
    onFirstToken: nothing,
    onFinished: nothing,
    onStepFailed(error, retried, failed) {
      endWithDevice(error);
      metrics.stepFailed();
      writeStepFailure(error, retried, failed);
    },
    onFault: (error) => onFault(error instanceof Error ? error : new Error(String(error))),
  };
  return {
    engine,
    onAnswer: (peer, _layer, rows, bytes, elapsedMs) => metrics.dispatched(peer, rows, bytes, elapsedMs),
    onRetry: (failure) => metrics.retried(failure.code),
    onHedge: () => metrics.hedged(),
    onColdRows: (_layer, rows) => metrics.coldRows(rows),
    onColdLoad(layer, experts) {
      metrics.coldLoaded(experts.length);
      writeColdLoad(layer, experts);
    },
    onForward: (_layer, rows, elapsedMs) => metrics.forwarded(rows, elapsedMs),
    onRefused(code, message) {
      if (code === 'DEVICE_LOST') onDeviceLost(message);
      metrics.refused(code);
      writeRefusal(code, message);
    },
    onPeerFailure: writeFailure,
    onLoadFailed: endWithDevice,
    onError: memberErrorLog(log, bus, now),
  };
}

interface MetricsServer {
  listen(host: string, port: number): Promise<number>;
  close(): Promise<void>;
}

const JOINING: Readiness = {
  ready: false,
  reasons: ['it is joining: no controller has said yet what is served, or the checkpoint is being opened'],
  notices: [],
};

/** GET /metrics, /health and /ready. */
function metricsServer(metrics: WorkerMetrics, readiness: () => Readiness): MetricsServer {
  const server = createServer({ maxHeaderSize: 8_192, requestTimeout: 10_000 }, (request, response) => {
    const answer = async (): Promise<readonly [number, string, string]> => {
      const path = request.url?.split('?', 1)[0];
      if (request.method !== 'GET') return [405, 'text/plain', 'expected GET\n'];
      if (path === '/metrics') return [200, metrics.registry.contentType, await metrics.registry.metrics()];
      if (path === '/health') return [200, 'application/json', '{"status":"ok"}'];
      if (path === '/ready') {
        const found = readiness();
        return [found.ready ? 200 : 503, 'application/json', JSON.stringify(found)];
      }
      return [404, 'text/plain', 'expected /metrics, /health or /ready\n'];
    };
    answer().then(
      ([status, type, body]) => response.writeHead(status, { 'content-type': type }).end(body),
      () => response.writeHead(500).end(),
    );
  });
  return {
    listen: (host, port) =>
      new Promise((resolve, reject) => {
        server.once('error', reject);
        server.listen(port, host, () => resolve((server.address() as AddressInfo).port));
      }),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

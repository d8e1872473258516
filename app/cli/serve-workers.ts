import type { Logger } from 'pino';
import { formatCount, formatDuration } from '../../platform/process/quantities.ts';
import { exitCodes } from '../command/exit.ts';
import { hintsFor } from '../command/hints.ts';
import { version } from '../command/version.ts';
import type { LocalCluster } from '../compose/local-cluster.ts';
import { ConfigError } from '../config/load-config.ts';
import type { ServeConfig } from '../config/serve-config.ts';
import { at } from './ready.ts';

/** Options that mean nothing without worker processes, and the values that they have when nobody gives them. */
const needWorkers = {
  stageWorkers: null,
  workerMetricsPort: null,
  workerMemory: null,
  nats: null,
  tensorParallelSize: null,
  pipelineParallelSize: null,
  expertTensorParallelSize: null,
  expertReplicas: 1,
  pipelines: 1,
  minWorkers: null,
  hedgeAfter: null,
} as const satisfies Partial<ServeConfig>;

/** Throws a ConfigError for options that contradict each other. */
export function checkWorkerOptions(config: ServeConfig): void {
  const { workers, stageWorkers, minWorkers, workerMetricsPort } = config;
  const problems: string[] = [];
  if (workers === null) {
    for (const [key, unset] of Object.entries(needWorkers)) {
      if (config[key as keyof typeof needWorkers] === unset) continue;
      problems.push(`--${key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}: expected --workers N too`);
    }
  } else {
    if (stageWorkers !== null && stageWorkers >= workers) {
      problems.push(`--stage-workers: expected fewer than the ${workers} workers, got ${stageWorkers}`);
    }
    if ((workerMetricsPort ?? 1) + workers - 1 > 65_535) {
      problems.push(`--worker-metrics-port: expected room for ${workers} ports up to 65535, got ${workerMetricsPort}`);
    }
    if (minWorkers !== null && minWorkers > workers) {
      problems.push(`--min-workers: expected at most the ${workers} workers, got ${minWorkers}`);
    }
  }
  if (problems.length > 0) throw new ConfigError(problems);
}

/** `conclave serve --workers N`, until a signal comes. */
export async function serveWithWorkers(
  config: ServeConfig,
  workers: number,
  log: Logger,
  signal: Promise<NodeJS.Signals>,
): Promise<never> {
  const { startLocalCluster } = await import('../compose/local-cluster.ts');
  const starting = startLocalCluster(config, workers, log);
  const early = await Promise.race([starting.then((cluster) => cluster.untilReady()).then(() => null), signal]);
  if (early !== null) {
    log.info(`${early} while starting`);
    await Promise.race([starting.then((cluster) => cluster.stop(0)), new Promise((end) => setTimeout(end, 5_000))]);
    process.exit(exitCodes.ok);
  }
  const cluster = await starting;
  process.stdout.write(config.output === 'json' ? readyLine(cluster) : readyText(cluster, config));
  const cause = await signal;
  log.info(`${cause}: finishing what runs, for ${formatDuration(config.shutdownTimeout)} at most`);
  await cluster.stop(config.shutdownTimeout);
  process.exit(exitCodes.ok);
}

function readyLine({ server, metricsUrls }: LocalCluster): string {
  const { httpUrl: http, grpcAddress: grpc, model, controller } = server;
  const workers = (controller.status().workers ?? []).map(({ id = '', pid, address }) => ({
    ...{ id, pid, address },
    metrics: metricsUrls.get(id) ?? null,
  }));
  return `${JSON.stringify({ event: 'ready', pid: process.pid, version, http, grpc, model, workers })}\n`;
}

/** Whether operators need a key. */
function asksForKey({ apiKey, apiKeyFile, adminKey, adminKeyFile }: ServeConfig): boolean {
  return [apiKey, apiKeyFile, adminKey, adminKeyFile].some((source) => source !== null);
}

function readyText({ server, metricsUrls }: LocalCluster, config: ServeConfig): string {
  const { model, controller } = server;
  const hints = hintsFor(config);
  const [httpUrl, grpcAddress] = [at(hints, server.httpUrl), at(hints, server.grpcAddress)];
  const flags = `${hints.operate}${asksForKey(config) ? ' --admin-key KEY' : ''}`;
  const workers = (controller.status().workers ?? []).map(
    ({ id = '', pid, address, slots }) =>
      `  ${id}: process ${pid} at ${address}, ${slots} expert slots, ${metricsUrls.get(id)}/metrics`,
  );
  return [
    '',
    `conclave ${version} serves ${model.name} on ${workers.length} worker processes`,
    `  ${formatCount(model.parameters)} parameters, ${formatCount(model.activeParameters)} of them per token; ${model.weights} weights`,
    ...workers,
    '',
    `  OpenAI API  ${httpUrl}/v1`,
    `  gRPC        ${grpcAddress}  conclave.v1.InferenceService, conclave.v1.ControlService`,
    `  dashboard   ${httpUrl}/`,
    `  metrics     ${httpUrl}/metrics`,
    `  health      ${httpUrl}/health  ${httpUrl}/ready`,
    '',
    'Look at it and change it:',
    `  npx conclave status --server ${grpcAddress}${flags}`,
    `  npx conclave scale --server ${grpcAddress}${flags} --replicas 2`,
    '',
    '',
  ].join('\n');
}

/** What `conclave worker` runs: the flags of the command line, as the worker's own modules need them. */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { readTexts } from '../../controller/model/texts.ts';
import { allTokenBytes } from '../../controller/text/token-bytes.ts';
import { createTokenizer } from '../../controller/text/tokenizer.ts';
import { loadNative } from '../../native/load.ts';
import type { Bus } from '../../platform/bus/bus.ts';
import { readMachine } from '../../platform/process/machine.ts';
import { formatBytes } from '../../platform/process/quantities.ts';
import { packageRoot } from '../../proto/package-root.ts';
import { startWorkerProcess, type WorkerProcess } from '../../worker/wiring/worker-process.ts';
import { natsOptions, readTls } from '../config/connections.ts';
import { checkMemory } from '../config/given-memory.ts';
import type { WorkerConfig } from '../config/worker-config.ts';
import { connectBus } from './connect-bus.ts';
import { deviceText, openDevice } from './device.ts';
import { checkpointError } from './model-mismatch.ts';

export interface StartedWorker {
  readonly id: string;
  readonly bus: Bus;
  readonly worker: WorkerProcess;
}

export interface WorkerContext {
  readonly log: Logger;
  readonly version: string;
  /** The device computes no more: the process must end at once. */
  readonly onDeviceLost: (message: string) => void;
}

/** Share of the free memory that a worker takes by default. */
const MEMORY_SHARE = 0.9;

/** Joins the cluster; waits for NATS and for a controller. */
export async function startWorker(
  config: WorkerConfig,
  { log, version, onDeviceLost }: WorkerContext,
): Promise<StartedWorker> {
  const tls = readTls(config, log);
  const native = loadNative();
  const machine = readMachine();
  const id = config.id ?? `${hostname().split('.')[0]}-${randomBytes(3).toString('hex')}`;
  const device = openDevice(native, config, (reason) => log.info(`computing on the CPU: ${reason}`));
  checkMemory('memory', config.memory, device.totalBytes, deviceText(device));
  const memoryBytes = config.memory ?? Math.floor(device.freeBytes * MEMORY_SHARE);
  const threads = config.threads ?? machine.cores;
  const bus = await connectBus(natsOptions(config, `worker ${id}`, tls.files), config, log);
  log.info(
    { id, roles: config.roles, threads },
    `joining with ${formatBytes(memoryBytes)} of memory on ${deviceText(device)}`,
  );
  const directory = config.model ?? join(packageRoot, 'models/clerk');
  try {
    const worker = await startWorkerProcess({
      native,
      bus,
      log,
      cluster: config.cluster,
      id,
      node: config.node ?? hostname(),
      version,
      directory,
      roles: config.roles,
      memoryBytes,
      threads,
      isa: config.isa === 'auto' ? null : config.isa,
      device: device.id,
      gpu: device.gpu,
      weightsFormats: device.weightsFormats,
      host: config.host,
      port: config.port,
      advertiseHost: config.advertise ?? (isAnyAddress(config.host) ? hostname() : config.host),
      tls: tls.server,
      certificate: tls.files,
      credentials: tls.credentials,
      hedgeMs: config.hedgeAfter,
      dispatchDeadlineMs: config.dispatchDeadline,
      overlapRows: config.overlapRows,
      prefixCaching: config.prefixCaching,
      readTokens: async (size) => allTokenBytes(createTokenizer(await readTexts(directory)).table, size),
      onNoTokens: (error) => log.warn({ err: error }, 'constraints on the output are refused: tokens cannot be read'),
      modelDeadlineMs: config.joinTimeout,
      metricsPort: config.metricsPort,
      onDeviceLost,
    });
    return { id, bus, worker };
  } catch (error) {
    const explained = await checkpointError(error, directory, bus);
    await bus.close();
    throw explained;
  }
}

function isAnyAddress(host: string): boolean {
  return host === '0.0.0.0' || host === '::';
}

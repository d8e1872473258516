import { Command } from 'commander';
import { formatDuration } from '../../platform/process/quantities.ts';
import { addOptions, configOf } from '../command/command-options.ts';
import { exitCodes } from '../command/exit.ts';
import { createLog } from '../command/log.ts';
import { outliveOutput } from '../command/output.ts';
import { firstSignal } from '../command/signals.ts';
import { version } from '../command/version.ts';
import { type WorkerConfig, workerSchema } from '../config/worker-config.ts';
import { findModel, serverProgress } from './find-model.ts';

const examples = `
Examples:
  conclave worker ~/models/Qwen3-30B-A3B --nats nats://10.0.0.1:4222 --host 0.0.0.0 --advertise 10.0.0.7 --id w7
  conclave worker MODEL --nats nats://10.0.0.1:4222 --roles expert --memory 24GiB --metrics-port 9100

The checkpoint must be the one that the controllers serve. SIGTERM and SIGINT move everything off the worker, then end it.`;

/** `conclave worker`: computes stages and experts for a cluster. */
export function workerCommand(): Command {
  const command = new Command('worker').description(
    'Runs a worker of a cluster: it holds the parts of the model that the controllers plan for it.',
  );
  return addOptions(command, workerSchema)
    .addHelpText('after', examples)
    .action(async () => {
      const { config, warnings } = configOf(command, workerSchema, process.env);
      await runWorker(config, warnings);
    });
}

async function runWorker(given: WorkerConfig, warnings: readonly string[]): Promise<void> {
  const log = createLog({ level: given.logLevel, format: given.logFormat }, process.stderr);
  outliveOutput(process, log);
  for (const warning of warnings) log.warn(warning);
  // A worker that another process started for itself ends with that process.
  process.once('disconnect', () => process.exit(exitCodes.failure));
  const signal = firstSignal();
  const config = await findModel(given, log, serverProgress(given, log), signal);
  const { startWorker } = await import('../compose/worker-process.ts');
  const onDeviceLost = (message: string): void => {
    log.fatal(`the device computes no more: ${message}`);
    process.exit(exitCodes.failure);
  };
  const started = startWorker(config, { log, version, onDeviceLost });
  const early = await Promise.race([started.then(() => null), signal]);
  if (early !== null) {
    log.info(`${early} while joining`);
    process.exit(exitCodes.ok);
  }
  const { id, bus, worker } = await started;
  const { member, metricsUrl, fault } = worker;
  const line = { event: 'joined', pid: process.pid, version, id, address: member.address, metrics: metricsUrl };
  process.stdout.write(
    config.output === 'json'
      ? `${JSON.stringify(line)}\n`
      : `\nconclave ${version}: worker ${id} of cluster ${config.cluster} at ${member.address}\n` +
          (metricsUrl === null ? '\n' : `  metrics     ${metricsUrl}/metrics\n\n`),
  );
  const cause = await Promise.race([signal, fault]);
  if (typeof cause === 'string') {
    log.info(`${cause}: moving everything off this worker, for ${formatDuration(config.drainTimeout)} at most`);
    const departure = await member.drain(config.drainTimeout);
    if (departure === 'too late') log.warn('not everything moved away in time');
    if (departure === 'nobody stays') log.info('every other worker ends too: nobody is left to take anything over');
  } else log.fatal(cause, 'this worker serves no more');
  await worker.close();
  await bus.close();
  process.exit(typeof cause === 'string' ? exitCodes.ok : exitCodes.failure);
}

import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import { formatDuration } from '../../platform/process/quantities.ts';
import { addOptions, configOf } from '../command/command-options.ts';
import { exitCodes } from '../command/exit.ts';
import { createLog } from '../command/log.ts';
import { outliveOutput } from '../command/output.ts';
import { firstSignal } from '../command/signals.ts';
import { version } from '../command/version.ts';
import type { AskedConfig } from '../compose/kubernetes/asked-config.ts';
import { type ControllerConfig, controllerSchema } from '../config/controller-config.ts';
import { exposureWarning } from '../config/exposure.ts';
import type { AskedOption, LoadedConfig } from '../config/load-config.ts';
import { findModel, serverProgress } from './find-model.ts';

const examples = `
Examples:
  conclave controller ~/models/Qwen3-30B-A3B --nats nats://10.0.0.1:4222 --host 0.0.0.0 --expert-replicas 2
  conclave controller MODEL --nats tls://nats:4222 --tls-cert c.pem --tls-key c.key --tls-ca ca.pem --admin-key-file admin.txt

Several controllers may run: all answer requests, one leads. Workers join with "conclave worker MODEL --nats URL".`;

/** `conclave controller`: gateway and planner of a cluster. */
export function controllerCommand(): Command {
  const command = new Command('controller').description(
    'Runs a controller of a cluster: OpenAI-compatible HTTP and gRPC in front, plans for the workers behind.',
  );
  return addOptions(command, controllerSchema)
    .addHelpText('after', examples)
    .action(async () => {
      const load = (asked: readonly AskedOption[]) => configOf(command, controllerSchema, process.env, asked);
      await runController(load);
    });
}

async function runController(load: (asked: readonly AskedOption[]) => LoadedConfig<ControllerConfig>): Promise<void> {
  const { config: given, warnings } = load([]);
  const log = createLog({ level: given.logLevel, format: given.logFormat }, process.stderr);
  outliveOutput(process, log);
  for (const warning of [...warnings, exposureWarning(given)]) if (warning !== null) log.warn(warning);
  const signal = firstSignal();
  // The client library of Kubernetes takes a second to load: only where it is used.
  const kubernetes = given.kubernetes ? await import('../compose/kubernetes/asked-config.ts') : null;
  const asked = (await kubernetes?.askedConfig(given, (options) => load(options).config, log)) ?? null;
  const wanted = asked?.config ?? given;
  log.level = wanted.logLevel;
  const config = await findModel(wanted, log, serverProgress(wanted, log), signal);
  const started = start(config, asked, log);
  const early = await Promise.race([started.then(() => null), signal]);
  if (early !== null) {
    log.info(`${early} while starting`);
    process.exit(exitCodes.ok);
  }
  const { bus, server } = await started;
  const { httpUrl, grpcAddress, model } = server;
  const line = {
    event: 'listening',
    pid: process.pid,
    version,
    id: server.id,
    http: httpUrl,
    grpc: grpcAddress,
    model,
  };
  process.stdout.write(
    config.output === 'json'
      ? `${JSON.stringify(line)}\n`
      : `\nconclave ${version}: controller ${server.id} of cluster ${config.cluster} for ${model.name}\n` +
          `  OpenAI API  ${httpUrl}/v1\n  gRPC        ${grpcAddress}\n  dashboard   ${httpUrl}/\n  readiness   ${httpUrl}/ready\n\n`,
  );
  const cause = await signal;
  if (config.shutdownDelay > 0) {
    log.info(`${cause}: requests are still taken for ${formatDuration(config.shutdownDelay)}`);
    server.retire();
    await sleep(config.shutdownDelay);
  }
  log.info(`${cause}: finishing what runs, for ${formatDuration(config.shutdownTimeout)} at most`);
  await server.stop(config.shutdownTimeout);
  await bus.close();
  process.exit(exitCodes.ok);
}

async function start(config: ControllerConfig, asked: AskedConfig | null, log: ReturnType<typeof createLog>) {
  const [{ startClusterServer }, { connectBus }, { natsOptions, readTls }] = await Promise.all([
    import('../compose/controller-process.ts'),
    import('../compose/connect-bus.ts'),
    import('../config/connections.ts'),
  ]);
  const tls = readTls(config, log);
  const bus = await connectBus(natsOptions(config, `controller ${config.id ?? process.pid}`, tls.files), config, log);
  try {
    return { bus, server: await startClusterServer({ config, asked, tls, bus, log }) };
  } catch (error) {
    await bus.close();
    throw error;
  }
}

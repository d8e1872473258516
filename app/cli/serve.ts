import { Command } from 'commander';
import { formatDuration } from '../../platform/process/quantities.ts';
import { addOptions, configOf } from '../command/command-options.ts';
import { exitCodes } from '../command/exit.ts';
import { hintsFor } from '../command/hints.ts';
import { createLog } from '../command/log.ts';
import { outliveOutput } from '../command/output.ts';
import { firstSignal } from '../command/signals.ts';
import { version } from '../command/version.ts';
import { exposureWarning } from '../config/exposure.ts';
import { type ServeConfig, serveSchema } from '../config/serve-config.ts';
import { findModel, serverProgress } from './find-model.ts';
import { readyLine, readyText } from './ready.ts';
import { checkWorkerOptions, serveWithWorkers } from './serve-workers.ts';

const examples = `
Examples:
  conclave serve                                     the bundled demo model on 127.0.0.1:8000
  conclave serve ~/models/Qwen3-30B-A3B --weights q8 int8 weights, made while loading
  conclave serve Qwen/Qwen3-30B-A3B                  from the local Hugging Face cache, or fetched into it
  conclave serve MODEL --host 0.0.0.0 --api-key-file keys.txt
  conclave serve MODEL --config conclave.yaml        with lines such as max-num-seqs: 32
  CONCLAVE_THREADS=4 conclave serve MODEL
  conclave serve MODEL --workers 4 --expert-replicas 2   worker processes over gRPC; one may die without harm

Then:
  curl http://127.0.0.1:8000/v1/chat/completions -H 'Content-Type: application/json' \\
    -d '{"model": "clerk", "messages": [{"role": "user", "content": "What is 974 + 662?"}], "temperature": 0}'

SIGTERM and SIGINT refuse new requests, finish those that run, and end with 0; a second signal ends at once.`;

/** `conclave serve`: one machine, everything in one process. */
export function serveCommand(): Command {
  const command = new Command('serve').description(
    'Serves a checkpoint on this machine: OpenAI-compatible HTTP, and gRPC.',
  );
  return addOptions(command, serveSchema)
    .addHelpText('after', examples)
    .action(async () => {
      const { config, warnings } = configOf(command, serveSchema, process.env);
      await serve(config, warnings);
    });
}

async function serve(given: ServeConfig, warnings: readonly string[]): Promise<void> {
  const { stderr, stdout } = process;
  const log = createLog({ level: given.logLevel, format: given.logFormat }, stderr);
  outliveOutput(process, log);
  for (const warning of [...warnings, exposureWarning(given)]) if (warning !== null) log.warn(warning);
  const signal = firstSignal();
  checkWorkerOptions(given);
  const onProgress = serverProgress(given, log);
  const config = await findModel(given, log, onProgress, signal);
  if (config.workers !== null) return serveWithWorkers(config, config.workers, log, signal);
  const { startEmbedded } = await import('../compose/single-process.ts');
  const embedded = await Promise.race([startEmbedded(config, { log, onProgress }), signal]);
  if (typeof embedded === 'string') {
    log.info(`${embedded} while loading`);
    process.exit(exitCodes.ok);
  }
  const keyed = config.apiKey !== null || config.apiKeyFile !== null;
  stdout.write(
    config.output === 'json' ? readyLine(embedded, version) : readyText(embedded, version, keyed, hintsFor(config)),
  );
  const cause = await Promise.race([signal, embedded.fault]);
  const fault = typeof cause === 'string' ? null : cause;
  if (fault === null) log.info(`${cause}: finishing what runs, for ${formatDuration(config.shutdownTimeout)} at most`);
  else log.fatal(fault, 'the engine failed and serves no more');
  await embedded.stop(fault === null ? config.shutdownTimeout : 0);
  process.exit(fault === null ? exitCodes.ok : exitCodes.failure);
}

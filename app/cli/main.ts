import { Command } from 'commander';
import { collectGarbageLessOften } from '../../platform/process/garbage-collection.ts';
import { reportFailure } from '../command/exit.ts';
import { guardOutput } from '../command/output.ts';
import { version } from '../command/version.ts';
import { controllerCommand } from './controller.ts';
import { inspectCommand } from './inspect.ts';
import { kubernetesCommand } from './kubernetes/kubernetes-command.ts';
import { cordonCommand, drainCommand, forgetCommand, scaleCommand, uncordonCommand } from './operate/change.ts';
import { eventsCommand } from './operate/events.ts';
import { planCommand, replicasCommand, statusCommand } from './operate/look.ts';
import { pullCommand } from './pull.ts';
import { serveCommand } from './serve.ts';
import { synthCommand } from './synth.ts';
import { topCommand } from './top/top.ts';
import { workerCommand } from './worker.ts';

guardOutput(process);
collectGarbageLessOften();

// The gRPC library, which commands load when they need it, writes to stderr what it also reports as errors.
process.env['GRPC_VERBOSITY'] ??= 'NONE';

// Node warns of how libraries call it, which nobody at a terminal can change.
process.noDeprecation = true;

const widest = 120;

const epilogue = `
Every option can also be set by a variable, CONCLAVE_ and the flag's name, such as CONCLAVE_MAX_MODEL_LEN=4096, or in the
YAML file of --config (or CONCLAVE_CONFIG), as max-model-len: 4096. A flag wins over a variable, a variable over the file.

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 141 the reader of the output went away, 128 + N ended by
signal N (130 SIGINT, 143 SIGTERM). Servers end with 0 after a first SIGINT or SIGTERM, with 128 + N after a second.`;

function helpWidth(): number {
  return Math.min(process.stdout.columns ?? widest, widest);
}

/** Without the value of a flag that does not exist: it may be meant for one that is secret. */
function outputError(text: string, write: (text: string) => void): void {
  write(text.replace(/(unknown option '-[^'=]*)=[^]*?'(?=\n|$)/, "$1'"));
}

const program = new Command('conclave')
  .description('Serves mixture-of-experts language models, each expert a replicated, stateless service.')
  .version(version)
  .exitOverride()
  .configureOutput({ getOutHelpWidth: helpWidth, getErrHelpWidth: helpWidth, outputError })
  .addHelpText('after', epilogue);
const commands = [
  serveCommand(),
  controllerCommand(),
  workerCommand(),
  statusCommand(),
  topCommand(),
  planCommand(),
  replicasCommand(),
  scaleCommand(),
  drainCommand(),
  cordonCommand(),
  uncordonCommand(),
  forgetCommand(),
  eventsCommand(),
  inspectCommand(),
  pullCommand(),
  synthCommand(),
  kubernetesCommand(),
];
for (const command of commands) {
  program.addCommand(command.copyInheritedSettings(program));
}

try {
  await program.parseAsync();
} catch (error) {
  const { text, exitCode } = reportFailure(error);
  if (text !== '') process.stderr.write(`${text}\n`);
  process.exitCode = exitCode;
}

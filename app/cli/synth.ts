import { Argument, Command, Option } from 'commander';
import { z } from 'zod';
import { type ShapeName, shapeNames } from '../../controller/model/synth/shapes.ts';
import { formatBytes } from '../../platform/process/quantities.ts';
import { CliError, exitCodes, Interrupted } from '../command/exit.ts';
import { progressReporter, rewritable } from '../command/progress.ts';
import { firstSignal } from '../command/signals.ts';
import { integer } from '../config/values.ts';

interface SynthFlags {
  readonly seed: string;
  readonly output: 'text' | 'json';
}

const notes = `
Shapes:
  tiny            158 thousand parameters; loads in an instant
  moe-1b7         1.76 billion parameters, 64 experts, top 8: the largest that a small machine measures in comfort
  olmoe-7b        the shape of OLMoE-1B-7B
  qwen3-30b-a3b   the shape of Qwen3-30B-A3B: 61 GB

Examples:
  conclave synth tiny /tmp/tiny
  conclave synth moe-1b7 /tmp/moe-1b7 --seed 7 && conclave serve /tmp/moe-1b7`;

/** `conclave synth`: a checkpoint with random weights, to measure and to test with. */
export function synthCommand(): Command {
  return new Command('synth')
    .description('Writes a checkpoint with random bf16 weights: the same bytes for the same shape and seed.')
    .addArgument(new Argument('<SHAPE>', 'What to write.').choices(shapeNames))
    .argument('<DIR>', 'Empty or new folder.')
    .addOption(new Option('--seed <N>', 'Seed of the weights.').default('0', '0'))
    .addOption(new Option('--output <FORM>', 'Form of the report.').choices(['text', 'json']).default('text'))
    .addHelpText('after', notes)
    .action(synth);
}

async function synth(shape: ShapeName, directory: string, flags: SynthFlags): Promise<void> {
  const seed = z.safeParse(integer(0), flags.seed);
  if (!seed.success) throw new CliError(`--seed: ${seed.error.issues[0]?.message ?? ''}`, null, exitCodes.usage);
  if (directory === '') throw new CliError('DIR: expected a folder, got ""', null, exitCodes.usage);
  const { stderr, stdout } = process;
  const report = progressReporter({
    terminal: rewritable(stderr, process.env),
    log: (_, line) => stderr.write(`${line}\n`),
    now: () => performance.now(),
  });
  const interrupt = new AbortController();
  void firstSignal().then((signal) => interrupt.abort(new Interrupted(signal, `nothing is left in ${directory}`)));
  const { synthesise } = await import('../../controller/model/synth/synth.ts');
  const written = await synthesise(shape, directory, {
    seed: seed.data,
    onProgress: report(`writing ${shape}`),
    signal: interrupt.signal,
  });
  const summary = { shape, seed: seed.data, ...written };
  const text = `${shape}: ${formatBytes(written.bytes)} in ${written.files} weight files in ${written.directory}\n`;
  stdout.write(flags.output === 'json' ? `${JSON.stringify(summary)}\n` : text);
}

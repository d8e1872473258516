import { Command, Option } from 'commander';
import type { CheckpointReport } from '../../controller/gateway/open-checkpoint.ts';
import { windowText } from '../../controller/model/report.ts';
import { describeEnds } from '../../controller/text/end-tokens.ts';
import { formatBytes, formatCount } from '../../platform/process/quantities.ts';
import { CliError, exitCodes } from '../command/exit.ts';

const examples = `
Examples:
  conclave inspect models/clerk
  conclave inspect ~/models/Qwen3-30B-A3B --output json | jq .activeParameters`;

/** `conclave inspect`: what a checkpoint is and needs. Reads headers only. */
export function inspectCommand(): Command {
  return new Command('inspect')
    .description('Says what a checkpoint is and what serving it needs, or why it cannot be served. Reads no weights.')
    .argument('<MODEL>', 'Checkpoint folder.')
    .addOption(new Option('--output <FORM>', 'Form of the report.').choices(['text', 'json']).default('text'))
    .addHelpText('after', examples)
    .action(async (directory: string, { output }: { readonly output: 'text' | 'json' }) => {
      if (directory === '') throw new CliError('MODEL: expected a checkpoint folder, got ""', null, exitCodes.usage);
      const { openCheckpoint } = await import('../../controller/gateway/open-checkpoint.ts');
      const { report, text } = await openCheckpoint(directory, null);
      await text.close();
      process.stdout.write(output === 'json' ? `${JSON.stringify(report, null, 2)}\n` : describeModel(report));
    });
}

/** The report for people. */
export function describeModel(report: CheckpointReport): string {
  const { experts, total, kvBytesPerToken } = report;
  const rows: readonly (readonly [string, string])[] = [
    ['model', `${report.name} (${report.modelType})`],
    ['parameters', `${formatCount(total.parameters)}, of which a token uses ${formatCount(report.activeParameters)}`],
    [
      'checkpoint',
      `${formatBytes(report.files.bytes)} in ${report.files.count} file${report.files.count === 1 ? '' : 's'}`,
    ],
    [
      'element types',
      Object.entries(report.bytesByType)
        .map(([type, bytes]) => `${type} ${formatBytes(bytes)}`)
        .join(', '),
    ],
    ['layers', `${report.layers}, hidden ${report.hiddenSize}, vocabulary ${report.vocabSize}`],
    ['attention', `${report.heads} heads, ${report.kvHeads} key/value heads of ${report.headDim}`],
    ['window', windowText(report)],
    [
      'experts',
      experts === null
        ? 'none: a dense model'
        : `${experts.perLayer} in each of ${experts.layers} layers, top ${experts.topK}, ${formatBytes(experts.each.bytes)} each`,
    ],
    ['longest sequence', `${report.maxPosition} tokens`],
    [
      'KV cache',
      `${formatBytes(kvBytesPerToken.bf16)} a token in bf16, ${formatBytes(kvBytesPerToken.f32)} in f32; ` +
        `${formatBytes(kvBytesPerToken.bf16 * report.maxPosition)} for the longest sequence in bf16`,
    ],
    ['end tokens', describeEnds(report.endTokens)],
    [
      'chat',
      report.chatObstacle === null ? 'by the chat template of the checkpoint' : `not served: ${report.chatObstacle}`,
    ],
    ['digest', report.digest],
  ];
  const roles = Object.entries(report.byRole)
    .filter(([, size]) => size.bytes > 0)
    .map(([role, size]): readonly [string, string] => [
      `  ${role.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)}`,
      `${formatBytes(size.bytes)} (${((100 * size.bytes) / total.bytes).toFixed(1)} %)`,
    ]);
  return [...rows, ['weights', formatBytes(total.bytes)] as const, ...roles]
    .map(([label, text]) => `${label.padEnd(18)}${text}\n`)
    .join('');
}

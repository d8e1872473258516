import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command, Option } from 'commander';
import type { CheckpointReport } from '../../controller/gateway/open-checkpoint.ts';
import type { ModelReference } from '../../controller/hub/pull.ts';
import { windowText } from '../../controller/model/report.ts';
import { describeEnds } from '../../controller/text/end-tokens.ts';
import { formatBytes, formatCount } from '../../platform/process/quantities.ts';
import { CliError, exitCodes } from '../command/exit.ts';
import { createLog } from '../command/log.ts';

const examples = `
Examples:
  conclave inspect models/clerk
  conclave inspect Qwen/Qwen3-30B-A3B    from the local Hugging Face cache, or headers alone from the Hub
  conclave inspect ~/models/Qwen3-30B-A3B --output json | jq .activeParameters
  conclave inspect --devices             what can compute on this machine, or why not`;

/** `conclave inspect`: what a checkpoint is and needs, or what this machine computes with. Reads headers only. */
export function inspectCommand(): Command {
  return new Command('inspect')
    .description('Says what a checkpoint is and what serving it needs, or why it cannot be served. Reads no weights.')
    .argument('[MODEL]', 'Checkpoint folder, or the name of a model on the Hub, ORG/NAME.')
    .addOption(
      new Option('--devices', 'Say instead what can compute on this machine.').conflicts(['revision', 'offline']),
    )
    .addOption(new Option('--revision <REV>', 'Branch, tag or commit of a model on the Hub. (default: main)'))
    .addOption(new Option('--offline', 'Ask nothing of the Hub: a model must be in the local cache.'))
    .addOption(new Option('--output <FORM>', 'Form of the report.').choices(['text', 'json']).default('text'))
    .addHelpText('after', examples)
    .action(inspect);
}

interface InspectFlags {
  readonly revision?: string;
  readonly offline?: true;
  readonly devices?: true;
  readonly output: 'text' | 'json';
}

async function inspect(model: string | undefined, flags: InspectFlags): Promise<void> {
  const { revision, offline, devices, output } = flags;
  if (devices === true) {
    if (model !== undefined) throw new CliError('--devices: expected no MODEL beside it', null, exitCodes.usage);
    const { inspectDevices } = await import('./inspect-devices.ts');
    return inspectDevices(output);
  }
  if (model === undefined) {
    throw new CliError('MODEL: expected a checkpoint folder or the name of a model', null, exitCodes.usage);
  }
  if (model === '') throw new CliError('MODEL: expected a checkpoint folder, got ""', null, exitCodes.usage);
  const { modelReference } = await import('../command/model-folder.ts');
  const reference = modelReference({ model, revision: revision ?? null });
  const report = reference === null ? await reportOn(model, null) : await reportOnHub(reference, offline === true);
  process.stdout.write(output === 'json' ? `${JSON.stringify(report, null, 2)}\n` : describeModel(report));
}

async function reportOn(directory: string, names: readonly string[] | null): Promise<CheckpointReport> {
  const { openCheckpoint } = await import('../../controller/gateway/open-checkpoint.ts');
  const { report, text } = await openCheckpoint(directory, names);
  await text.close();
  return report;
}

/** Of the cached copy where there is one, else of what the Hub has, without fetching the weights. */
async function reportOnHub(reference: ModelReference, offline: boolean): Promise<CheckpointReport> {
  const { pullContext } = await import('../command/model-folder.ts');
  const { findCached, findOrPull } = await import('../../controller/hub/pull.ts');
  const context = pullContext({ offline }, reference, {
    log: createLog({ level: 'warn', format: 'text' }, process.stderr),
    signal: new AbortController().signal,
    onProgress: () => () => undefined,
  });
  const cached = await findCached(reference, context.settings);
  if (cached !== null) return reportOn(cached.directory, null);
  if (context.settings.offline) return reportOn((await findOrPull(reference, context)).directory, null);
  const { outlineModel } = await import('../../controller/hub/outline.ts');
  const directory = await mkdtemp(join(tmpdir(), 'conclave-inspect-'));
  try {
    await outlineModel(reference, directory, context);
    return await reportOn(directory, [reference.model]);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

function attentionText({ heads, kvHeads, headDim, latent }: CheckpointReport): string {
  if (latent === null) return `${heads} heads, ${kvHeads} key/value heads of ${headDim}`;
  return `${heads} heads of ${headDim} over latents of ${latent.elements} and rotated keys of ${latent.rotary}`;
}

function layerKindsText({ layerKinds, selection }: CheckpointReport): string {
  const kinds = Object.entries(layerKinds).map(([kind, count]) => `${kind} in ${count}`);
  if (selection !== null) kinds.push(`up to ${selection.tokens} selected positions in ${selection.layers}`);
  return kinds.join(', ');
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
    ['layer kinds', layerKindsText(report)],
    ['attention', attentionText(report)],
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
    ...(report.stateBytesPerSequence > 0
      ? [['states', `${formatBytes(report.stateBytesPerSequence)} a sequence, however long`] as const]
      : []),
    ['end tokens', describeEnds(report.endTokens)],
    [
      'chat',
      report.chatObstacle === null ? 'by the chat template of the checkpoint' : `not served: ${report.chatObstacle}`,
    ],
    ...(report.chatObstacle === null
      ? [
          ['tool calls', report.toolCallParser ?? 'stay in the text: the chat template shows no format'] as const,
          ['reasoning', report.reasoningParser ?? 'none'] as const,
        ]
      : []),
    ['digest', report.digest],
    ...report.warnings.map((warning) => ['warning', warning] as const),
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

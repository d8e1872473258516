import { Command, Option } from 'commander';
import type { ModelReference, PullContext, PulledModel } from '../../controller/hub/pull.ts';
import { formatBytes } from '../../platform/process/quantities.ts';
import { CliError, exitCodes, Interrupted } from '../command/exit.ts';
import { createLog } from '../command/log.ts';
import { progressReporter, rewritable } from '../command/progress.ts';
import { firstSignal } from '../command/signals.ts';

interface PullFlags {
  readonly to?: string;
  readonly revision?: string;
  readonly offline?: true;
  readonly output: 'text' | 'json';
}

const notes = `
Only what serving needs is fetched: safetensors, configuration, tokenizer and chat templates. What an earlier try left is
kept and gone on with; every file is compared with the hash that the Hub lists before it gets its name.

Variables, as in Hugging Face's own tools: HF_TOKEN (or the token of "hf auth login"), HF_HOME, HF_HUB_CACHE, HF_ENDPOINT,
HF_HUB_OFFLINE, HF_HUB_DOWNLOAD_TIMEOUT; HTTPS_PROXY and NO_PROXY.

Examples:
  conclave pull Qwen/Qwen3-30B-A3B                   into the cache, which Python's tools share
  conclave pull Qwen/Qwen3-30B-A3B --revision v1.0
  conclave pull Qwen/Qwen3-30B-A3B --to /models/qwen a folder of plain files; once it is whole, nothing is asked again`;

/** `conclave pull`: a model from the Hub to this machine. */
export function pullCommand(): Command {
  return new Command('pull')
    .description('Fetches a model from the Hugging Face Hub, or brings the cached copy up to date.')
    .argument('<MODEL>', 'Name on the Hub: ORG/NAME.')
    .addOption(new Option('--to <DIR>', 'Folder of plain files instead of the cache: new, empty, or of this model.'))
    .addOption(new Option('--revision <REV>', 'Branch, tag or commit. (default: main)'))
    .addOption(new Option('--offline', 'Ask nothing of the Hub: fail unless everything is here.'))
    .addOption(new Option('--output <FORM>', 'Form of the report.').choices(['text', 'json']).default('text'))
    .addHelpText('after', notes)
    .action(pull);
}

async function pull(model: string, { to, revision, offline, output }: PullFlags): Promise<void> {
  const { hubReference, pullContext } = await import('../command/model-folder.ts');
  const reference = hubReference(model, revision ?? null);
  if (to === '') throw new CliError('--to: expected a folder, got ""', null, exitCodes.usage);
  const { stderr, stdout } = process;
  const interrupt = new AbortController();
  void firstSignal().then((signal) => interrupt.abort(new Interrupted(signal, 'what has been fetched is kept')));
  const context = pullContext({ offline: offline === true }, reference, {
    log: createLog({ level: 'info', format: 'text' }, stderr),
    signal: interrupt.signal,
    onProgress: progressReporter({
      terminal: rewritable(stderr, process.env),
      log: (_, line) => stderr.write(`${line}\n`),
      now: () => performance.now(),
    }),
  });
  const pulled = await fetchModel(reference, to ?? null, context);
  const report = { ...reference, ...pulled };
  stdout.write(output === 'json' ? `${JSON.stringify(report)}\n` : text(reference.model, pulled));
}

async function fetchModel(
  reference: ModelReference,
  folder: string | null,
  context: PullContext,
): Promise<PulledModel> {
  if (folder === null) return (await import('../../controller/hub/pull.ts')).pullIntoCache(reference, context);
  return (await import('../../controller/hub/pull-into-folder.ts')).pullIntoFolder(reference, folder, context);
}

function text(model: string, { directory, commit, fetchedBytes }: PulledModel): string {
  const fetched = fetchedBytes === 0 ? 'was there already' : `${formatBytes(fetchedBytes)} fetched`;
  return `${model}, commit ${commit.slice(0, 12)}: ${fetched}\n${directory}\n`;
}

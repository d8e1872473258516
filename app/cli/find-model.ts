import type { Logger } from 'pino';
import { exitCodes } from '../command/exit.ts';
import type { ModelOptions } from '../command/model-folder.ts';
import { progressReporter, rewritable } from '../command/progress.ts';

type OnProgress = ReturnType<typeof progressReporter>;

/** How a server shows what takes long before it serves. */
export function serverProgress({ logFormat }: { readonly logFormat: string }, log: Logger): OnProgress {
  return progressReporter({
    terminal: logFormat === 'json' ? null : rewritable(process.stderr, process.env),
    log: (state, line) => log.info(state, line),
    now: () => performance.now(),
  });
}

/** The options with the model's folder in place of its name. A signal meanwhile ends the process; what was fetched is kept. */
export async function findModel<Options extends ModelOptions>(
  options: Options,
  log: Logger,
  onProgress: OnProgress,
  signal: Promise<NodeJS.Signals>,
): Promise<Options> {
  const { withModelFolder } = await import('../command/model-folder.ts');
  const never = new AbortController().signal;
  const found = await Promise.race([withModelFolder(options, { log, signal: never, onProgress }), signal]);
  if (typeof found !== 'string') return found;
  log.info(`${found} while fetching the model; what has been fetched is kept`);
  process.exit(exitCodes.ok);
}

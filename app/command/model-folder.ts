/** What a MODEL on the command line means: a folder, or a model of the Hub by its name. */
import { existsSync } from 'node:fs';
import type { Logger } from 'pino';
import type { ModelReference, PullContext, PullObserver } from '../../controller/hub/pull.ts';
import { HubError } from '../../controller/hub/remote/hub-error.ts';
import { readHubSettings } from '../../controller/hub/remote/hub-settings.ts';
import { isModelName, isRevision } from '../../controller/hub/remote/model-name.ts';
import { formatBytes, formatDuration } from '../../platform/process/quantities.ts';
import { ConfigError } from '../config/load-config.ts';
import { version } from './version.ts';

/** What names a model. */
export interface ModelOptions {
  readonly model: string | null;
  readonly revision: string | null;
  readonly offline: boolean;
}

export interface ModelFolderContext {
  readonly log: Pick<Logger, 'info' | 'warn'>;
  readonly signal: AbortSignal;
  /** Starts showing a task that is counted in bytes. */
  readonly onProgress: (task: string) => (doneBytes: number, totalBytes: number) => void;
}

/** The same options with the model's folder, which is whole, in place of its name. Throws a HubError or a ConfigError. */
export async function withModelFolder<Options extends ModelOptions>(
  options: Options,
  context: ModelFolderContext,
): Promise<Options> {
  const reference = modelReference(options);
  if (reference === null) return options;
  const { findOrPull } = await import('../../controller/hub/pull.ts');
  const { directory, commit } = await findOrPull(reference, pullContext(options, reference, context)).catch(noFolder);
  context.log.info({ commit, directory }, `${reference.model} is in the cache of Hugging Face's tools`);
  return { ...options, model: directory };
}

/** The model of the Hub that is meant; null for a folder, for the demo model, and for what is neither. */
export function modelReference({ model, revision }: Omit<ModelOptions, 'offline'>): ModelReference | null {
  if (model !== null && isModelName(model) && !existsSync(model)) return hubReference(model, revision);
  if (revision !== null) throw new ConfigError(['--revision: expected the name of a model on the Hub too, ORG/NAME']);
  return null;
}

/** Throws a ConfigError for what cannot be a model of the Hub. */
export function hubReference(model: string, revision: string | null): ModelReference {
  if (!isModelName(model)) throw new ConfigError([`MODEL: expected ORG/NAME, got ${JSON.stringify(model)}`]);
  if (revision !== null && !isRevision(revision)) {
    throw new ConfigError([`--revision: expected a branch, a tag or a commit, got ${JSON.stringify(revision)}`]);
  }
  return { model, revision: revision ?? 'main' };
}

/** A name that the Hub does not know may have been meant for a folder. */
function noFolder(error: unknown): never {
  if (!(error instanceof HubError) || !['HUB_NOT_FOUND', 'HUB_DENIED'].includes(error.code)) throw error;
  throw new HubError(error.code, `no folder of this name is here, and on the Hub: ${error.message}`, error.remedy);
}

export function pullContext(
  { offline }: Pick<ModelOptions, 'offline'>,
  reference: ModelReference,
  { log, signal, onProgress }: ModelFolderContext,
): PullContext {
  const settings = readHubSettings(process.env);
  return {
    settings: { ...settings, offline: settings.offline || offline },
    userAgent: `conclave/${version}`,
    signal,
    observer: pullObserver(reference, log, onProgress(`fetching ${reference.model}`)),
  };
}

function pullObserver(
  { model }: ModelReference,
  log: ModelFolderContext['log'],
  onProgress: PullObserver['onProgress'],
): PullObserver {
  return {
    onProgress,
    onStart: ({ repository, files, bytes, missingBytes }) =>
      log.info(
        { commit: repository.commit },
        `${model}: ${files.length} files of ${formatBytes(bytes)}; ${formatBytes(missingBytes)} to fetch`,
      ),
    onRetry: (reason, ms) => log.warn(`${reason}; trying again in ${formatDuration(ms)}`),
    onWait: (holder) => log.info(`${holder} fetches ${model} too: waiting for it`),
    onStale: (reason) => log.warn(`${reason}; the cached copy of ${model} is used`),
  };
}

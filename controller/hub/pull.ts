/** Fetches models of the Hub: into the cache that Hugging Face's tools share, or into a folder. */
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type Clock, systemClock } from '../../platform/process/clock.ts';
import { type CacheLayout, cacheLayout } from './cache/cache-layout.ts';
import { cacheDestination } from './cache/destination.ts';
import { withPullLock } from './cache/pull-lock.ts';
import { findSnapshot, type Snapshot } from './cache/snapshot.ts';
import { type FetchPlan, fetchFiles } from './fetch-files.ts';
import { createHubClient, type HubClient } from './remote/hub-client.ts';
import { HubError } from './remote/hub-error.ts';
import type { HubSettings } from './remote/hub-settings.ts';
import { isCommit } from './remote/model-name.ts';
import { type Repository, readRepository } from './remote/repository.ts';
import type { RetryContext } from './remote/retries.ts';

/** A model at a revision: a branch, a tag or a commit. */
export interface ModelReference {
  readonly model: string;
  readonly revision: string;
}

/** What whoever waits for a model may want to know. */
export interface PullObserver {
  readonly onStart: (plan: FetchPlan) => void;
  readonly onProgress: (doneBytes: number, totalBytes: number) => void;
  readonly onRetry: (reason: string, ms: number) => void;
  /** Another process fetches the same. */
  readonly onWait: (holder: string) => void;
  /** The Hub could not be asked whether there is something newer. */
  readonly onStale: (reason: string) => void;
}

export interface PullContext {
  readonly settings: HubSettings;
  readonly userAgent: string;
  readonly signal: AbortSignal;
  readonly observer: PullObserver;
  /** Default: the process's own time. */
  readonly clock?: Clock;
}

export interface PulledModel {
  readonly directory: string;
  readonly commit: string;
  /** Bytes that came over the network, or were left by an earlier try; 0: everything was there. */
  readonly fetchedBytes: number;
}

/**
 * The folder of a model that the cache holds, whatever the Hub has by now; fetched where it is not there. Throws a HubError.
 */
export async function findOrPull(reference: ModelReference, context: PullContext): Promise<PulledModel> {
  return (await findCached(reference, context.settings)) ?? pullIntoCache(reference, context);
}

/** What the cache holds of a model, where that is all of it; else null. */
export async function findCached(
  { model, revision }: ModelReference,
  { cache }: HubSettings,
): Promise<PulledModel | null> {
  return wholeSnapshot(await findSnapshot(cacheLayout(cache, model), revision));
}

/** Brings the cache up to what the revision stands for now. Without the Hub, what is there will do. Throws a HubError. */
export async function pullIntoCache(reference: ModelReference, context: PullContext): Promise<PulledModel> {
  const layout = cacheLayout(context.settings.cache, reference.model);
  const found = await findSnapshot(layout, reference.revision);
  const whole = wholeSnapshot(found);
  if (context.settings.offline) {
    if (whole !== null) return whole;
    throw notThere(reference, context.settings, found);
  }
  return withHub(context, async (client, retry) => {
    const repository = await readRepository(client, retry, reference.model, reference.revision).catch(
      (error: unknown) => {
        if (whole === null || !(error instanceof HubError && error.code === 'HUB_UNREACHABLE')) throw error;
        context.observer.onStale(error.message);
        return null;
      },
    );
    // Nothing is written where nothing is to do: the folder may be one that cannot be written.
    if (whole !== null && (repository === null || whole.commit === repository.commit)) return whole;
    if (repository === null) throw new Error('there is neither a copy nor a listing');
    return withPullLock(layout.lock, lockOptions(context, retry), () =>
      fillCache(layout, reference, repository, { client, retry, ...context.observer }),
    );
  });
}

function wholeSnapshot(found: Snapshot | null): PulledModel | null {
  return found === null || found.missing.length > 0 ? null : { ...found, fetchedBytes: 0 };
}

/** Runs `work` with a connection to the Hub. */
export async function withHub<T>(
  { settings, userAgent, signal, observer, clock = systemClock }: PullContext,
  work: (client: HubClient, retry: RetryContext) => Promise<T>,
): Promise<T> {
  const client = createHubClient({ settings, clock, userAgent });
  try {
    return await work(client, { clock, random: Math.random, signal, onRetry: observer.onRetry });
  } finally {
    await client.close();
  }
}

export function lockOptions({ observer }: PullContext, { clock, signal }: RetryContext) {
  return { clock, signal, onWait: observer.onWait };
}

async function fillCache(
  layout: CacheLayout,
  { revision }: ModelReference,
  repository: Repository,
  context: Parameters<typeof fetchFiles>[2],
): Promise<PulledModel> {
  const destination = await cacheDestination(layout, repository.commit);
  const plan = await fetchFiles(repository, destination, context);
  // Last, so that an older snapshot serves until the new one is whole.
  if (!isCommit(revision)) await writeWhole(layout.ref(revision), repository.commit);
  return { directory: destination.directory, commit: repository.commit, fetchedBytes: plan.missingBytes };
}

/** Writes a small file that nobody ever sees in part. */
export async function writeWhole(path: string, content: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const aside = `${path}.${process.pid}.tmp`;
  await writeFile(aside, content);
  await rename(aside, path);
}

function notThere({ model, revision }: ModelReference, { cache }: HubSettings, found: Snapshot | null): HubError {
  const what =
    found === null
      ? `revision ${revision} of ${model} is not in ${cache}`
      : `${found.directory} lacks ${found.missing.slice(0, 5).join(', ')}${found.missing.length > 5 ? ', …' : ''}`;
  const flag = revision === 'main' ? '' : ` --revision ${revision}`;
  const remedy = `Offline nothing is fetched: run "conclave pull ${model}${flag}" with a connection, or set HF_HUB_CACHE to where it is.`;
  return new HubError('HUB_OFFLINE', what, remedy);
}

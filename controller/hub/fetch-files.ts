/** Fetches what a destination lacks of a repository: first the texts, which name the weights, then the weights. */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { quote } from '../model/config/problems.ts';
import type { Destination } from './cache/destination.ts';
import { checkDiskSpace } from './cache/disk-space.ts';
import { shardsOf } from './cache/snapshot.ts';
import { otherWeights, singleWeights, wantedTexts, weightsIndex } from './cache/wanted-files.ts';
import { download } from './remote/download.ts';
import type { HubClient } from './remote/hub-client.ts';
import { HubError } from './remote/hub-error.ts';
import type { RemoteFile, Repository } from './remote/repository.ts';
import type { RetryContext } from './remote/retries.ts';

export interface FetchContext {
  readonly client: HubClient;
  readonly retry: RetryContext;
  /** Called with what is fetched, before the first byte of the weights. */
  readonly onStart: (plan: FetchPlan) => void;
  readonly onProgress: (doneBytes: number, totalBytes: number) => void;
}

export interface FetchPlan {
  readonly repository: Repository;
  readonly files: readonly RemoteFile[];
  /** Of all files. */
  readonly bytes: number;
  /** Those that have to be fetched. */
  readonly missingBytes: number;
}

/** Files that are fetched at a time. */
const atOnce = 8;

export async function fetchFiles(
  repository: Repository,
  destination: Destination,
  context: FetchContext,
): Promise<FetchPlan> {
  const texts = await fetchTexts(repository, destination, context);
  const weights = (await weightPaths(repository, destination)).map((path) => fileOf(repository, path));
  const missing = await absent(weights, destination);
  const files = [...texts, ...weights];
  const bytes = sum(files);
  const plan = { repository, files, bytes, missingBytes: sum(missing) };
  const gathered = await Promise.all(missing.map((file) => sizeOf(destination.partial(file))));
  await checkDiskSpace(destination.directory, plan.missingBytes - gathered.reduce((total, size) => total + size, 0));
  context.onStart(plan);
  let done = bytes - plan.missingBytes;
  context.onProgress(done, bytes);
  await fetchAll(missing, repository, destination, context, (more) => {
    done += more;
    context.onProgress(done, bytes);
  });
  return plan;
}

/** Everything but the weights. */
export async function fetchTexts(
  repository: Repository,
  destination: Destination,
  context: Pick<FetchContext, 'client' | 'retry'>,
): Promise<readonly RemoteFile[]> {
  const texts = wantedTexts(repository.files.keys()).map((path) => fileOf(repository, path));
  await fetchAll(await absent(texts, destination), repository, destination, context, () => undefined);
  return texts;
}

/** The weight files, by the repository's index where it has one. Throws a HubError where there is nothing to serve. */
export async function weightPaths(repository: Repository, { directory }: Destination): Promise<readonly string[]> {
  const { model, files } = repository;
  if (files.has(singleWeights)) return [singleWeights];
  const index = files.has(weightsIndex) ? await readFile(join(directory, weightsIndex), 'utf8') : null;
  const paths = index === null ? [] : shardsOf(index);
  if (paths.length > 0) return paths;
  const others = otherWeights(files.keys());
  const found = others.length === 0 ? 'it has no weights at all' : `it has ${quote(others)}`;
  throw new HubError(
    'HUB_UNSUITABLE',
    `${model}: expected ${singleWeights} or an index ${weightsIndex} that names files; ${found}`,
    'Choose a model with weights in safetensors; GGUF, PyTorch and quantised formats are not read.',
  );
}

export function fileOf({ model, commit, files }: Repository, path: string): RemoteFile {
  const file = files.get(path);
  if (file !== undefined) return file;
  const remedy = 'The repository is incomplete: choose another --revision.';
  throw new HubError('HUB_UNSUITABLE', `${model}: commit ${commit} lacks ${path}, which its index names`, remedy);
}

async function absent(files: readonly RemoteFile[], destination: Destination): Promise<readonly RemoteFile[]> {
  const missing: RemoteFile[] = [];
  for (const file of files) if (!(await destination.has(file))) missing.push(file);
  return missing;
}

/** The first failure ends all: what has been gathered stays for the next try. */
async function fetchAll(
  files: readonly RemoteFile[],
  repository: Repository,
  destination: Destination,
  { client, retry }: Pick<FetchContext, 'client' | 'retry'>,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const failed = new AbortController();
  const signal = AbortSignal.any([retry.signal, failed.signal]);
  const context = { ...retry, signal };
  // Files of the same content are gathered in one place, so one after the other.
  const contents = [...new Set(files.map(({ etag }) => etag))];
  const fetchOne = async (file: RemoteFile): Promise<void> => {
    if (await destination.has(file)) return onBytes(file.bytes);
    await download({ client, retry: context, repository, file, partial: destination.partial(file), onBytes });
    await destination.place(file);
  };
  const work = async (): Promise<void> => {
    for (let content = contents.shift(); content !== undefined; content = contents.shift()) {
      for (const file of files) if (file.etag === content) await fetchOne(file);
    }
  };
  const workers = Array.from({ length: Math.min(atOnce, contents.length) }, async () => {
    await work().catch((error: unknown) => {
      failed.abort(error);
      throw error;
    });
  });
  await Promise.allSettled(workers);
  signal.throwIfAborted();
}

async function sizeOf(path: string): Promise<number> {
  return (await stat(path).catch(() => null))?.size ?? 0;
}

function sum(files: readonly RemoteFile[]): number {
  return files.reduce((total, { bytes }) => total + bytes, 0);
}

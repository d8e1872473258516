/** Where fetched files go: the cache of Hugging Face's tools, or a folder of their own. */
import { mkdir, rename, rm, stat, symlink } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import type { RemoteFile } from '../remote/repository.ts';
import type { CacheLayout } from './cache-layout.ts';

export interface Destination {
  /** The folder that is a checkpoint once every file is in its place. */
  readonly directory: string;
  /** Whether a file is in its place; puts it there where its content is at hand. */
  has(file: RemoteFile): Promise<boolean>;
  /** Where a file is gathered before it is whole. */
  partial(file: RemoteFile): string;
  /** Gives a whole file its name. */
  place(file: RemoteFile): Promise<void>;
}

/** Other tools take no notice of files that end so. */
const partialEnding = '.conclave.incomplete';

/** The snapshot of a commit in a cache. */
export async function cacheDestination(layout: CacheLayout, commit: string): Promise<Destination> {
  const directory = layout.snapshot(commit);
  await mkdir(directory, { recursive: true });
  await mkdir(layout.blobs, { recursive: true });
  const blob = ({ etag }: RemoteFile): string => join(layout.blobs, etag);
  const partial = (file: RemoteFile): string => `${blob(file)}${partialEnding}`;
  return {
    directory,
    partial,
    has: async (file) => {
      if (await hasSize(join(directory, file.path), file.bytes)) return true;
      if (!(await hasSize(blob(file), file.bytes))) return false;
      await linkTo(blob(file), join(directory, file.path));
      return true;
    },
    place: async (file) => {
      await moveIntoPlace(partial(file), blob(file));
      await linkTo(blob(file), join(directory, file.path));
    },
  };
}

/** A folder of plain files, which holds nothing but what was put there. */
export function folderDestination(directory: string): Destination {
  const partial = ({ etag }: RemoteFile): string => join(directory, `.${etag}${partialEnding}`);
  return {
    directory,
    partial,
    has: (file) => hasSize(join(directory, file.path), file.bytes),
    place: async (file) => {
      const path = join(directory, file.path);
      await mkdir(dirname(path), { recursive: true });
      await moveIntoPlace(partial(file), path);
    },
  };
}

async function hasSize(path: string, bytes: number): Promise<boolean> {
  const stats = await stat(path).catch(() => null);
  return stats?.isFile() === true && stats.size === bytes;
}

/** Another process may have put the same file there at the same moment. */
async function moveIntoPlace(partial: string, path: string): Promise<void> {
  await rename(partial, path).catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT' || (await stat(path).catch(() => null)) === null) throw error;
  });
}

/** Links a snapshot's file to its content; where a file system has no links, the content itself moves there. */
async function linkTo(blob: string, path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const aside = `${path}.${process.pid}${partialEnding}`;
  try {
    await rm(aside, { force: true });
    await symlink(relative(dirname(path), blob), aside);
    await rename(aside, path);
  } catch (error) {
    if (!['EPERM', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP'].includes((error as NodeJS.ErrnoException).code ?? ''))
      throw error;
    await rename(blob, path);
  }
}

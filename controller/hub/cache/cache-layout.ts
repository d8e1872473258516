/**
 * The cache as Hugging Face's own tools keep it, so that each finds what the other fetched:
 *
 *   CACHE/models--ORG--NAME/blobs/ETAG                    contents, by their hash
 *   CACHE/models--ORG--NAME/snapshots/COMMIT/config.json  links to them
 *   CACHE/models--ORG--NAME/refs/main                     the commit that a branch stood for
 */
import { join } from 'node:path';

export interface CacheLayout {
  /** Of the model. */
  readonly folder: string;
  readonly blobs: string;
  /** Of a commit. */
  readonly snapshot: (commit: string) => string;
  /** Of a branch or tag. */
  readonly ref: (revision: string) => string;
  /** The list of files of a commit that other tools leave. */
  readonly tree: (commit: string) => string;
  /** Held by whoever fetches this model. */
  readonly lock: string;
}

export function cacheLayout(cache: string, model: string): CacheLayout {
  const name = `models--${model.replaceAll('/', '--')}`;
  const folder = join(cache, name);
  return {
    folder,
    blobs: join(folder, 'blobs'),
    snapshot: (commit) => join(folder, 'snapshots', commit),
    ref: (revision) => join(folder, 'refs', revision),
    tree: (commit) => join(folder, 'trees', `${commit}.json`),
    lock: join(cache, '.locks', name, 'conclave.lock'),
  };
}

/** What a cache holds of a model. */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { parseWeightMap } from '../../model/checkpoint/checkpoint.ts';
import { isObject } from '../../model/config/json.ts';
import { Problems } from '../../model/config/problems.ts';
import { isCommit } from '../remote/model-name.ts';
import type { CacheLayout } from './cache-layout.ts';
import { singleWeights, wantedTexts, weightsIndex } from './wanted-files.ts';

export interface Snapshot {
  readonly commit: string;
  readonly directory: string;
  /** What is needed and not there; empty: the model can be served. */
  readonly missing: readonly string[];
}

/** The snapshot that a revision stands for; null where the cache knows of none. */
export async function findSnapshot(layout: CacheLayout, revision: string): Promise<Snapshot | null> {
  const commit = isCommit(revision) ? revision : await readRef(layout.ref(revision));
  if (commit === null) return null;
  const directory = layout.snapshot(commit);
  const listed = await listedTexts(layout.tree(commit));
  const missing = await missingFiles(directory, ['config.json', ...listed]);
  return { commit, directory, missing };
}

async function readRef(path: string): Promise<string | null> {
  const text = await readFile(path, 'utf8').catch(() => '');
  return isCommit(text.trim()) ? text.trim() : null;
}

/** The files that serving a folder needs and that are not there. A file that exists is whole: it came by its name at the end. */
async function missingFiles(directory: string, texts: readonly string[]): Promise<readonly string[]> {
  const has = async (path: string): Promise<boolean> =>
    (await stat(join(directory, path)).catch(() => null))?.isFile() ?? false;
  const without = async (paths: readonly string[]): Promise<readonly string[]> => {
    const found = await Promise.all(paths.map(has));
    return [...new Set(paths)].filter((path) => found[paths.indexOf(path)] === false);
  };
  const missing = await without(texts);
  if (await has(singleWeights)) return missing;
  const index = await readFile(join(directory, weightsIndex), 'utf8').catch(() => null);
  if (index === null) return [...missing, `${singleWeights} or ${weightsIndex}`];
  return [...missing, ...(await without(shardsOf(index)))];
}

/** The weight files that an index names. An index that cannot be read names none: who opens the folder says why. */
export function shardsOf(index: string): readonly string[] {
  try {
    return [...new Set(parseWeightMap(index, new Problems()).values())].sort();
  } catch {
    return [];
  }
}

/** The needed texts of a commit's list of files, which other tools leave in the cache; empty where there is no list. */
async function listedTexts(path: string): Promise<readonly string[]> {
  try {
    const list: unknown = JSON.parse(await readFile(path, 'utf8'));
    const files = isObject(list) && list['format_version'] === 1 ? list['files'] : null;
    return isObject(files) ? wantedTexts(Object.keys(files)) : [];
  } catch {
    return [];
  }
}

/** The safetensors files of a checkpoint folder, as one table of tensors. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { CheckpointFile__Output as CheckpointFile } from '../../../proto/generated/conclave/v1/CheckpointFile.ts';
import { parseJsonObject } from '../config/json.ts';
import { type Problems, quote } from '../config/problems.ts';
import { readSafetensorsHeader, type StoredTensor } from './safetensors.ts';

/** A tensor and the file that holds it. */
export interface CheckpointTensor extends StoredTensor {
  /** Index into Checkpoint.files. */
  readonly file: number;
}

export interface Checkpoint {
  readonly files: readonly CheckpointFile[];
  readonly tensors: ReadonlyMap<string, CheckpointTensor>;
  /** Whether every file could be read: only then is a tensor that is not there missing. */
  readonly complete: boolean;
  /** What is odd and no obstacle. */
  readonly warnings: readonly string[];
}

/** What a folder calls its files of weights. */
export interface FileNames {
  readonly single: string;
  readonly index: string;
  /** Files that are all read where there is neither; null: none are. */
  readonly parts: RegExp | null;
}

export const huggingFaceFiles: FileNames = {
  single: 'model.safetensors',
  index: 'model.safetensors.index.json',
  parts: null,
};
/** Of Mistral's own layout. */
export const consolidatedFiles: FileNames = {
  single: 'consolidated.safetensors',
  index: 'consolidated.safetensors.index.json',
  parts: /^consolidated[\w.-]*\.safetensors$/,
};

const { index } = huggingFaceFiles;
const maxIndexBytes = 100_000_000;
const maxFiles = 10_000;

/**
 * Reads the headers of all files: the single one, or those that the index names. Of these the index
 * says which tensors count, as in every loader that goes by it: files may hold more.
 */
export async function readCheckpoint(
  directory: string,
  problems: Problems,
  names = huggingFaceFiles,
): Promise<Checkpoint> {
  const { paths, weightMap } = await findFiles(directory, names, problems).catch((error: Error): Found => {
    problems.add(describe(error));
    return { paths: [], weightMap: null };
  });
  const files: CheckpointFile[] = [];
  const tensors = new Map<string, CheckpointTensor>();
  /** Tensors of which the index does not say that they are where they are. */
  const unnamed = new Map<string, CheckpointTensor>();
  for (const path of paths) {
    const header = await readSafetensorsHeader(join(directory, path), (problem) =>
      problems.add(`${path}: ${problem}`),
    ).catch((error: Error) => {
      problems.add(`${path}: ${describe(error)}`);
      return null;
    });
    if (header === null) continue;
    const file = files.push({ path, bytes: header.fileBytes }) - 1;
    for (const [name, tensor] of header.tensors) {
      if (weightMap === null || weightMap.get(name) === path) tensors.set(name, { ...tensor, file });
      else unnamed.set(name, { ...tensor, file });
    }
  }
  const read = new Set(files.map((file) => file.path));
  for (const [name, path] of weightMap ?? []) {
    if (tensors.has(name) || !read.has(path)) continue;
    const found = unnamed.get(name);
    if (found === undefined) problems.add(`${path} lacks tensor ${quote(name)}, which the index puts there`);
    else problems.add(`tensor ${quote(name)} is in ${files[found.file]?.path}; the index says ${path}`);
    if (found !== undefined) tensors.set(name, found);
  }
  const complete = paths.length > 0 && files.length === paths.length;
  return { files, tensors, complete, warnings: unnamed.size === 0 ? [] : [unnamedWarning([...unnamed.keys()])] };
}

function unnamedWarning([first, ...others]: readonly string[]): string {
  const more = others.length === 0 ? '' : ` and ${others.length} more`;
  return `the weight files hold ${quote(first)}${more} where ${index} does not put them; they are not loaded`;
}

interface Found {
  readonly paths: readonly string[];
  /** Tensor name → file; null: files count whole. */
  readonly weightMap: ReadonlyMap<string, string> | null;
}

/** Throws when there are none. */
async function findFiles(directory: string, { single, index, parts }: FileNames, problems: Problems): Promise<Found> {
  const names = new Set(await readdir(directory));
  if (names.has(single)) return { paths: [single], weightMap: null };
  if (!names.has(index)) {
    const found = [...names].filter((name) => parts?.test(name)).sort();
    if (found.length > 0) return { paths: found, weightMap: null };
    const others = [...names].filter((name) => /\.(safetensors|bin|gguf|pth?)$/.test(name)).sort();
    const what = others.length === 0 ? 'no weight file is there' : `found ${quote(others)}`;
    throw new Error(`expected ${single} or ${index}; ${what}`);
  }
  try {
    const path = join(directory, index);
    const { size } = await stat(path);
    if (size > maxIndexBytes) throw new Error(`${size} bytes; at most ${maxIndexBytes} are read`);
    const weightMap = parseWeightMap(await readFile(path, 'utf8'), problems);
    return { paths: [...new Set(weightMap.values())].sort(), weightMap };
  } catch (error) {
    throw new Error(`${index}: ${describe(error as Error)}`, { cause: error });
  }
}

/** The `weight_map` of an index, without the entries that are reported. */
export function parseWeightMap(text: string, problems: Problems): ReadonlyMap<string, string> {
  const { weight_map: entries } = parseJsonObject(text);
  if (typeof entries !== 'object' || entries === null || Array.isArray(entries)) {
    throw new Error('expected an object at "weight_map"');
  }
  if (Object.keys(entries).length === 0) throw new Error('"weight_map" is empty');
  const weightMap = new Map<string, string>();
  for (const [name, path] of Object.entries(entries) as [string, unknown][]) {
    if (typeof path === 'string' && isInside(path)) weightMap.set(name, path);
    else problems.add(`${index}: weight_map.${name} is ${quote(path)}; expected a .safetensors path inside the folder`);
  }
  const files = new Set(weightMap.values()).size;
  if (files > maxFiles) throw new Error(`"weight_map" names ${files} files; at most ${maxFiles} are read`);
  return weightMap;
}

/** Whether a path is relative and stays in its folder, read as any system would read it. */
function isInside(path: string): boolean {
  const unsafe = path.includes('\\') || path.includes('\0') || path.includes(':');
  return !unsafe && path.endsWith('.safetensors') && path.split('/').every((part) => !['', '.', '..'].includes(part));
}

function describe(error: Error): string {
  return 'code' in error && error.code === 'ENOENT' ? 'no such file' : error.message;
}

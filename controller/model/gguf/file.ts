/** The files of a model in GGUF, single or split, as one table of tensors. */
import { open, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Checkpoint, CheckpointTensor } from '../checkpoint/checkpoint.ts';
import { type Problems, quote } from '../config/problems.ts';
import { elementTypes } from './block-types.ts';
import { type GgufHead, type GgufTensor, type GgufValue, parseGguf, Truncated } from './container.ts';

export interface GgufModel {
  readonly metadata: ReadonlyMap<string, GgufValue>;
  /** Tensors by ggml's names. */
  readonly checkpoint: Checkpoint;
}

const firstBytes = 1 << 22;
const mostBytes = 1 << 29;
const maxFiles = 1000;
const splitName = /-(\d{5})-of-(\d{5})\.gguf$/;

export function isGguf(path: string): boolean {
  return path.endsWith('.gguf');
}

/** Reads the heads of a file, and of those that it is split into with it. */
export async function readGguf(path: string, problems: Problems): Promise<GgufModel | null> {
  const paths = splitPaths(path, problems);
  const files: { path: string; bytes: number }[] = [];
  const tensors = new Map<string, CheckpointTensor>();
  let metadata: GgufHead['metadata'] | null = null;
  for (const file of paths) {
    const name = basename(file);
    const found = await readHead(file).catch((error: Error) => {
      problems.add(`${name}: ${'code' in error && error.code === 'ENOENT' ? 'no such file' : error.message}`);
      return null;
    });
    if (found === null) continue;
    metadata ??= found.head.metadata;
    const index = files.push({ path: name, bytes: found.bytes }) - 1;
    for (const [tensor, entry] of found.head.tensors) {
      const placed = placeTensor(entry, found.head.dataStart, found.bytes);
      if (typeof placed === 'string') problems.add(`${name}: tensor ${quote(tensor)} ${placed}`);
      else tensors.set(tensor, { ...placed, file: index });
    }
  }
  if (metadata === null) return null;
  const count = metadata.get('split.tensors.count');
  const complete = files.length === paths.length;
  if (complete && typeof count === 'number' && count !== tensors.size) {
    problems.add(`split.tensors.count is ${count}; the files hold ${tensors.size} tensors`);
  }
  return { metadata, checkpoint: { files, tensors, complete, warnings: [] } };
}

/** All files of a split model, from the name of any of them. */
function splitPaths(path: string, problems: Problems): readonly string[] {
  const [, , last] = splitName.exec(path) ?? [];
  if (last === undefined) return [path];
  const count = Number(last);
  if (count > maxFiles) problems.add(`${basename(path)} is one of ${count} files; at most ${maxFiles} are read`);
  return Array.from({ length: Math.min(count, maxFiles) }, (_, i) => {
    const number = String(i + 1).padStart(5, '0');
    return join(dirname(path), basename(path).replace(splitName, `-${number}-of-${last}.gguf`));
  });
}

async function readHead(path: string): Promise<{ readonly head: GgufHead; readonly bytes: number }> {
  const { size } = await stat(path);
  const file = await open(path, 'r');
  try {
    for (let length = firstBytes; ; length *= 4) {
      const buffer = Buffer.alloc(Math.min(length, size));
      await file.read(buffer, 0, buffer.length, 0);
      try {
        return { head: parseGguf(buffer), bytes: size };
      } catch (error) {
        if (!(error instanceof Truncated)) throw error;
        if (length >= size) throw new Error('truncated: the file ends within its head', { cause: error });
        if (length > mostBytes) throw new Error(`the head is larger than ${mostBytes} bytes`, { cause: error });
      }
    }
  } finally {
    await file.close();
  }
}

function placeTensor(
  tensor: GgufTensor,
  dataStart: number,
  fileBytes: number,
): Omit<CheckpointTensor, 'file'> | string {
  const type = elementTypes.get(tensor.type);
  if (type === undefined) {
    const known = [...elementTypes.values()].map(({ name }) => name);
    return `has ggml's type ${tensor.type}; supported: ${known.join(', ')}`;
  }
  const width = tensor.shape.at(-1) ?? 1;
  if (width % type.block !== 0) return `has rows of ${width} elements; ${type.name} has blocks of ${type.block}`;
  const elements = tensor.shape.reduce((product, length) => product * length, 1);
  const bytes = (elements / type.block) * type.bytes;
  const offset = dataStart + tensor.offset;
  if (offset + bytes > fileBytes) return `ends at byte ${offset + bytes}; the file has ${fileBytes}`;
  return { dtype: type.name, shape: tensor.shape, offset, bytes };
}

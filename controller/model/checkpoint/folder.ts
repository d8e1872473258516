/** Small files of a checkpoint folder. */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { parseJsonObject, withoutBareNumbers } from '../config/json.ts';

const maxBytes = 10_000_000;

export async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null))?.isDirectory() ?? false;
}

/** The path of a file of a folder, or null when there is none. */
async function existingFile(folder: string, name: string): Promise<string | null> {
  const path = join(folder, name);
  return (await stat(path).catch(() => null))?.isFile() ? path : null;
}

/** A JSON object from a file; reports what is wrong with it, but not that it is absent. */
export async function readJsonFile(
  folder: string,
  name: string,
  report: (problem: string) => void,
): Promise<Readonly<Record<string, unknown>> | 'absent' | 'invalid'> {
  const path = await existingFile(folder, name);
  if (path === null) return 'absent';
  try {
    const { size } = await stat(path);
    if (size > maxBytes) throw new Error(`${size} bytes; at most ${maxBytes} are read`);
    return parseJsonObject(withoutBareNumbers(await readFile(path, 'utf8')));
  } catch (error) {
    report((error as Error).message);
    return 'invalid';
  }
}

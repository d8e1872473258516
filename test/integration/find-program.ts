import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Where a program is: on PATH, or where `go install` puts it; null when it is nowhere. */
export function findProgram(name: string): string | null {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  try {
    folders.push(join(execFileSync('go', ['env', 'GOPATH'], { encoding: 'utf8' }).trim(), 'bin'));
  } catch {
    // No Go here.
  }
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path)) ?? null;
}

/** `describe.skipIf(skip)` where a program is missing; the suffix of its name says which, and how to get it. */
export function needs(name: string, remedy: string): { readonly skip: boolean; readonly suffix: string } {
  const skip = findProgram(name) === null;
  return { skip, suffix: skip ? ` (skipped: ${name} is missing; get it with ${remedy})` : '' };
}

/** Loads the addon: the one that CONCLAVE_NATIVE names, else the one that `npm run build:native` made in this package. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Native } from './native.ts';

/** Throws an error that lists every file that was tried, why it could not be loaded, and what to do about it. */
export function loadNative(): Native {
  const require = createRequire(import.meta.url);
  const failures: string[] = [];
  for (const path of candidates()) {
    if (!existsSync(path)) {
      failures.push(`${path}: there is no such file`);
      continue;
    }
    try {
      return require(path) as Native;
    } catch (error) {
      failures.push(`${path}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  const message = [
    `conclave's native addon could not be loaded (node ${process.version}, ${process.platform} ${process.arch}):`,
    ...failures.map((failure) => `  - ${failure}`),
    'Build it with: npm run build:native',
    'It needs CMake 3.20 or newer and a C++20 compiler (Debian, Ubuntu: apt-get install cmake ninja-build g++).',
  ].join('\n');
  throw Object.assign(new Error(message), { code: 'NATIVE_UNAVAILABLE' });
}

function candidates(): readonly string[] {
  const named = process.env['CONCLAVE_NATIVE'];
  if (named !== undefined && named !== '') return [resolve(named)];
  return [join(packageFolder(), 'native', 'build', 'conclave.node')];
}

// This file runs from native/ in a checkout and from dist/native/ when built.
function packageFolder(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json')) && dirname(folder) !== folder) folder = dirname(folder);
  return folder;
}

// Configures and builds the native code with CMake: Ninja where it is installed, else Make. Headers of Node come from npm
// packages; nothing is downloaded.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const source = dirname(fileURLToPath(import.meta.url));
const remedy = [
  'conclave builds its native addon on installation. That needs CMake 3.20 or newer, Make or Ninja, and a C++20 compiler',
  '(GCC 11, Clang 14 or newer):',
  '  Debian, Ubuntu:  apt-get install cmake ninja-build g++',
  '  Fedora:          dnf install cmake ninja-build gcc-c++',
  '  macOS:           xcode-select --install && brew install cmake ninja',
  'Then run: npm run build:native',
].join('\n');

/** Why a build failed, with what to do about it. */
export class BuildError extends Error {}

/**
 * Builds `native/FOLDER`; does nothing where it is up to date. Returns the folder's path.
 * @param {string} folder build folder within native/
 * @param {Readonly<Record<string, string>>} variables CMake variables
 * @param {boolean} quiet print the tools' output only when they fail
 * @param {readonly string[]} targets what to build; nothing: everything
 */
export function buildNative(folder, variables, quiet, targets = []) {
  const build = join(source, folder);
  const tool = ['ninja', 'make'].find(has);
  if (!has('cmake')) throw new BuildError(`cmake was not found on PATH.\n${remedy}`);
  if (tool === undefined) throw new BuildError(`Neither ninja nor make was found on PATH.\n${remedy}`);
  const fresh = !isConfigured(build);
  if (fresh) rmSync(build, { recursive: true, force: true });
  const generator = fresh ? ['-G', tool === 'ninja' ? 'Ninja' : 'Unix Makefiles'] : [];
  const settings = Object.entries(variables).map(([name, value]) => `-D${name}=${value}`);
  run(['-S', source, '-B', build, '-DCMAKE_BUILD_TYPE=Release', ...generator, ...settings], quiet);
  const chosen = targets.length > 0 ? ['--target', ...targets] : [];
  run(['--build', build, '--parallel', String(availableParallelism()), ...chosen], quiet);
  return build;
}

/** Whether a configuration succeeded here: one that failed, or was made in another place, cannot be gone on with. */
function isConfigured(build) {
  const cache = join(build, 'CMakeCache.txt');
  return (
    ['build.ninja', 'Makefile'].some((file) => existsSync(join(build, file))) &&
    existsSync(cache) &&
    readFileSync(cache, 'utf8').includes(`CMAKE_HOME_DIRECTORY:INTERNAL=${source}\n`)
  );
}

function has(program) {
  return spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0;
}

function run(args, quiet) {
  const result = spawnSync('cmake', args, { stdio: quiet ? 'pipe' : 'inherit', encoding: 'utf8', maxBuffer: 2 ** 28 });
  if (result.error !== undefined) throw new BuildError(`cmake ${args.join(' ')}: ${result.error.message}`);
  if (result.status === 0) return;
  const output = quiet ? `${result.stdout}${result.stderr}` : '';
  throw new BuildError(
    `${output}cmake ${args.join(' ')} failed (${result.signal ?? `exit ${result.status}`}).\n${remedy}`,
  );
}

// Where nvcc is: the toolkit that is installed, where it is new enough, else packages of PyPI in a folder of their own.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BuildError } from '../build.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const toolkitFolder = join(here, '..', 'build', 'cuda', 'toolkit');
const oldest = '12.8';
const alternatives = [
  'Other ways to a CUDA compiler:',
  `  - install a CUDA toolkit, ${oldest} or newer, and put its nvcc on PATH, or name it: CUDACXX=/usr/local/cuda/bin/nvcc`,
  '  - behind a proxy or with a mirror of PyPI: HTTPS_PROXY, PIP_INDEX_URL and the other settings of pip count',
  'Then run: npm run build:cuda',
].join('\n');

/**
 * The compiler, and what CMake needs to find its libraries. Throws a BuildError.
 * @param {string} folder where packages go
 * @returns {{ nvcc: string, version: string, flags: string }}
 */
export function findToolkit(folder = toolkitFolder) {
  const named = process.env.CUDACXX;
  if (named !== undefined && named !== '') {
    const version = versionOf(named);
    if (version === null) throw new BuildError(`CUDACXX=${named}: expected nvcc, which says its version.`);
    if (isOlder(version, oldest)) {
      throw new BuildError(`CUDACXX=${named}: expected nvcc ${oldest} or newer, got ${version}.`);
    }
    return { nvcc: named, version, flags: '' };
  }
  const installed = versionOf('nvcc');
  if (installed !== null && !isOlder(installed, oldest)) return { nvcc: 'nvcc', version: installed, flags: '' };
  const root = installPackages('requirements.txt', 'nvcc', folder);
  const nvcc = join(root, 'bin', 'nvcc');
  // Its profile looks for libraries in lib64.
  return { nvcc, version: versionOf(nvcc) ?? 'unknown', flags: `-L${join(root, 'lib')}` };
}

/**
 * Installs what a requirements file of this folder pins, once; returns the folder that holds bin, include and lib.
 * @param {string} file name of the requirements file
 * @param {string} program one that is there afterwards
 * @param {string} folder a virtual environment of Python; made where it is not there
 */
export function installPackages(file, program, folder = toolkitFolder) {
  const requirements = join(here, file);
  const mark = join(folder, `${file}.sha256`);
  const sum = createHash('sha256').update(readFileSync(requirements)).digest('hex');
  if (existsSync(mark) && readFileSync(mark, 'utf8') === sum) return rootOf(folder, program);
  console.error(`fetching ${program} with pip into ${folder}`);
  if (!existsSync(join(folder, 'bin', 'python'))) makeEnvironment(folder);
  const python = join(folder, 'bin', 'python');
  const flags = ['--quiet', '--disable-pip-version-check', '--no-deps', '--only-binary=:all:', '--require-hashes'];
  const result = run(python, ['-m', 'pip', 'install', ...flags, '-r', requirements]);
  if (!result.done) throw new BuildError(`pip could not fetch ${program}:\n${result.output}\n${alternatives}`);
  writeFileSync(mark, sum);
  return rootOf(folder, program);
}

function makeEnvironment(folder) {
  if (!run('python3', ['--version']).done) {
    throw new BuildError(
      `python3 was not found: it fetches the CUDA compiler (Debian, Ubuntu: apt-get install python3-venv).\n${alternatives}`,
    );
  }
  rmSync(folder, { recursive: true, force: true });
  const result = run('python3', ['-m', 'venv', folder]);
  if (result.done) return;
  rmSync(folder, { recursive: true, force: true });
  throw new BuildError(
    `python3 -m venv failed (Debian, Ubuntu: apt-get install python3-venv):\n${result.output}\n${alternatives}`,
  );
}

/** The packages of CUDA 13 share a folder: lib/python3.11/site-packages/nvidia/cu13. */
function rootOf(environment, program) {
  const lib = join(environment, 'lib');
  for (const python of existsSync(lib) ? readdirSync(lib) : []) {
    const root = join(lib, python, 'site-packages', 'nvidia', 'cu13');
    if (existsSync(join(root, 'bin', program))) return root;
  }
  throw new BuildError(`${environment} has no nvidia/cu13/bin/${program}: remove the folder, and run it again.`);
}

/** Such as "13.0"; null where the program does not run. */
function versionOf(nvcc) {
  const { done, output } = run(nvcc, ['--version']);
  return done ? (/release (\d+\.\d+)/.exec(output)?.[1] ?? null) : null;
}

function isOlder(version, other) {
  const [[major, minor], [otherMajor, otherMinor]] = [version, other].map((text) => text.split('.').map(Number));
  return major === otherMajor ? minor < otherMinor : major < otherMajor;
}

function run(program, args) {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8' });
  return { done: status === 0, output: error ? error.message : `${stdout}${stderr}`.trim() };
}

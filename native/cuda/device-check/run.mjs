// `npm run check:device [-- ARGUMENT…]`: builds the program that checks a GPU, and runs it.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { BuildError } from '../../build.mjs';
import { buildCuda } from '../library.mjs';

/** Checkpoints are those of the tests, and the compiler of specs is the program's own. */
function models(build) {
  const root = join(import.meta.dirname, '../../..');
  if (!existsSync(join(root, 'dist', 'controller')) || !existsSync(join(root, 'test', 'fixtures'))) {
    console.error('whole models are left out: npm run build, in a checkout with its tests, brings them');
    return [];
  }
  const file = join(build, 'models.json');
  const writer = join(import.meta.dirname, 'models', 'write-models.mjs');
  if (spawnSync(process.execPath, [writer, file], { stdio: 'inherit' }).status !== 0) {
    throw new BuildError(`${writer} could not write the models to check`);
  }
  return ['--models', file];
}

try {
  const build = buildCuda(false, ['conclave_device_check']);
  const program = join(build, 'cuda', 'conclave_device_check');
  const args = ['--torch', join(import.meta.dirname, 'torch_times.py'), ...models(build), ...process.argv.slice(2)];
  process.exitCode = spawnSync(program, args, { stdio: 'inherit' }).status ?? 1;
} catch (error) {
  if (!(error instanceof BuildError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}

// `npm run check:device [-- ARGUMENT…]`: builds the program that checks a GPU, and runs it.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { BuildError } from '../../build.mjs';
import { buildCuda } from '../library.mjs';

try {
  const build = buildCuda(false, ['conclave_device_check']);
  const program = join(build, 'cuda', 'conclave_device_check');
  process.exitCode = spawnSync(program, process.argv.slice(2), { stdio: 'inherit' }).status ?? 1;
} catch (error) {
  if (!(error instanceof BuildError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}

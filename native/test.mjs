// `npm run test:native [-- --sanitize] [-- CTEST_ARGUMENT…]`: builds and runs the native tests, with --sanitize under the
// address and undefined-behaviour sanitizers.
import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { BuildError, buildNative } from './build.mjs';

const rest = process.argv.slice(2).filter((argument) => argument !== '--sanitize');
const sanitize = rest.length < process.argv.length - 2;
/** Without sanitizers, beside the addon: most of both is the same objects. */
const [folder, variables] = sanitize
  ? ['build-sanitize', { CONCLAVE_NODE_ADDON: 'OFF', CONCLAVE_SANITIZE: 'address;undefined' }]
  : ['build', {}];

try {
  const build = buildNative(folder, { CONCLAVE_NATIVE_TESTS: 'ON', ...variables }, true);
  const parallel = String(availableParallelism());
  const flags = ['--test-dir', build, '--output-on-failure', '--no-tests=error', '--progress', '--parallel', parallel];
  const result = spawnSync('ctest', [...flags, ...rest], { stdio: 'inherit' });
  process.exitCode = result.status ?? 1;
} catch (error) {
  if (!(error instanceof BuildError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}

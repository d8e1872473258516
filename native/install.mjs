// `npm install`, `npm run build:native`: builds native/build/conclave.node; with CONCLAVE_CUDA=1 the library for NVIDIA GPUs too.
import { BuildError, buildNative } from './build.mjs';
import { buildCuda } from './cuda/library.mjs';

const quiet = process.env.npm_lifecycle_event === 'install';
try {
  buildNative('build', {}, quiet);
  if (process.env.CONCLAVE_CUDA === '1') buildCuda(quiet);
} catch (error) {
  if (!(error instanceof BuildError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}

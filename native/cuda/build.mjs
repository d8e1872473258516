// `npm run build:cuda`: builds the addon, and native/build/conclave_cuda.so for NVIDIA GPUs beside it.
import { BuildError, buildNative } from '../build.mjs';
import { buildCuda } from './library.mjs';

try {
  buildNative('build', {}, false);
  buildCuda(false);
} catch (error) {
  if (!(error instanceof BuildError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}

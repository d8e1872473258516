import { join } from 'node:path';
import { buildNative } from '../build.mjs';
import { findToolkit } from './toolkit.mjs';

/**
 * Builds native/build/conclave_cuda.so beside the addon; does nothing where it is up to date. Throws a BuildError.
 * @param {boolean} quiet print the tools' output only when they fail
 * @param {readonly string[]} targets what to build instead
 * @returns {string} the folder that it was built in
 */
export function buildCuda(quiet, targets = ['conclave_cuda']) {
  const { nvcc, version, flags } = findToolkit();
  if (!quiet) console.error(`CUDA ${version}: ${nvcc}`);
  const launcher = process.env.CMAKE_CXX_COMPILER_LAUNCHER;
  const architectures = process.env.CONCLAVE_CUDA_ARCHITECTURES;
  const variables = {
    CONCLAVE_CUDA: 'ON',
    CONCLAVE_NODE_ADDON: 'OFF',
    CMAKE_CUDA_COMPILER: nvcc,
    CMAKE_CUDA_FLAGS: flags,
    CONCLAVE_LIBRARY_FOLDER: join(import.meta.dirname, '..', 'build'),
    ...(launcher && { CMAKE_CUDA_COMPILER_LAUNCHER: launcher }),
    ...(architectures && { CONCLAVE_CUDA_ARCHITECTURES: architectures.replaceAll(/[\s,]+/g, ';') }),
  };
  return buildNative(join('build', 'cuda', 'library'), variables, quiet, targets);
}

// `npm run check:cuda`: reads the machine code of native/build/conclave_cuda.so, and what it needs of a machine.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { BuildError } from '../build.mjs';
import { checkCode } from './check-code.mjs';
import { inspectCode } from './inspect-code.mjs';

const library = join(import.meta.dirname, '..', 'build', 'conclave_cuda.so');

/** It must load where there is no CUDA, and show nothing but its entry points. */
function linkProblems() {
  const output = (program, ...args) => spawnSync(program, args, { encoding: 'utf8' }).stdout ?? '';
  const foreign = output('ldd', library).match(/lib(?:cud|nv|cublas)\S*/g) ?? [];
  const symbols = [...output('nm', '-D', '--defined-only', library).matchAll(/^\S+ [A-Za-z] (\S+)$/gm)].map(
    ([, name]) => name,
  );
  const entries = ['ConclavePlugin', 'ConclavePluginAbi'];
  const extra = symbols.filter((name) => !entries.includes(name));
  const missing = entries.filter((name) => !symbols.includes(name));
  return [
    ...foreign.map((name) => `it needs ${name}: expected no library of CUDA`),
    ...extra.slice(0, 5).map((name) => `it shows the symbol ${name}: expected ${entries.join(' and ')} alone`),
    ...missing.map((name) => `it lacks the symbol ${name}`),
  ];
}

function main() {
  if (!existsSync(library)) throw new BuildError(`${library} is not built: npm run build:cuda`);
  const kernels = inspectCode(library);
  const problems = [...linkProblems(), ...(kernels.length === 0 ? ['it has no kernels'] : checkCode(kernels))];
  const architectures = [...new Set(kernels.map(({ architecture }) => architecture))];
  for (const architecture of architectures) {
    const own = kernels.filter((kernel) => kernel.architecture === architecture);
    const most = Math.max(...own.map(({ registers }) => registers));
    const tensor = own.filter(({ instructions }) => instructions.has('HMMA')).length;
    console.log(`${architecture}: ${own.length} kernels, ${tensor} with tensor cores, at most ${most} registers`);
  }
  for (const problem of problems) console.error(problem);
  process.exitCode = problems.length > 0 ? 1 : 0;
}

try {
  main();
} catch (error) {
  if (!(error instanceof BuildError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}

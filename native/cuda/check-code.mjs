import { mostSharedBytes, mostStackBytes, needed, stack } from './expected-code.mjs';

/**
 * What is wrong with compiled kernels, one line each.
 * @param {readonly import('./inspect-code.mjs').Kernel[]} kernels
 * @param {{ readonly mostSharedBytes: number, readonly mostStackBytes: number, readonly needed: readonly { kernel: RegExp, instructions: readonly string[] }[],
 *   readonly stack: readonly { kernel: RegExp, bytes: number, why: string }[] }} expected
 */
export function checkCode(kernels, expected = { mostSharedBytes, mostStackBytes, needed, stack }) {
  const problems = [];
  for (const { architecture, name, stackBytes, sharedBytes, instructions } of kernels) {
    const where = `${architecture} ${name}`;
    const allowed = Math.max(
      expected.mostStackBytes,
      ...expected.stack.filter(({ kernel }) => kernel.test(name)).map(({ bytes }) => bytes),
    );
    if (stackBytes > allowed) problems.push(`${where}: expected at most ${allowed} bytes of stack, got ${stackBytes}`);
    if (sharedBytes > expected.mostSharedBytes) {
      problems.push(
        `${where}: expected at most ${expected.mostSharedBytes} bytes of fixed shared memory, got ${sharedBytes}`,
      );
    }
    for (const rule of expected.needed.filter(({ kernel }) => kernel.test(name))) {
      const missing = rule.instructions.filter((instruction) => !instructions.has(instruction));
      if (missing.length > 0) problems.push(`${where}: expected ${missing.join(', ')}, got none`);
    }
  }
  // A rule for no kernel checks nothing.
  for (const { kernel } of [...expected.needed, ...expected.stack]) {
    if (!kernels.some(({ name }) => kernel.test(name))) problems.push(`no kernel is called ${String(kernel)}`);
  }
  return problems;
}

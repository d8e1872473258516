// What a compiled library holds for each architecture: its kernels, their resources and their instructions.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { BuildError } from '../build.mjs';
import { installPackages } from './toolkit.mjs';

/**
 * @typedef {object} Kernel
 * @property {string} architecture such as "sm_90a"
 * @property {string} name as C++ has it, with its parameters
 * @property {number} registers
 * @property {number} stackBytes of a thread: arrays that are indexed by what is not known, and registers that did not suffice
 * @property {number} sharedBytes that are fixed when it is compiled
 * @property {ReadonlyMap<string, number>} instructions how often each stands there, without its variants: "HMMA", "LDGSTS", …
 */

/**
 * Reads machine code with cuobjdump, which pip fetches.
 * @param {string} library
 * @returns {readonly Kernel[]}
 */
export function inspectCode(library) {
  const tool = join(installPackages('inspection-requirements.txt', 'cuobjdump'), 'bin', 'cuobjdump');
  const resources = readResources(run(tool, ['-res-usage', library]));
  const code = readCode(run(tool, ['-sass', library]));
  const names = demangle([...new Set([...resources.values()].map(({ symbol }) => symbol))]);
  return [...resources].map(([key, { symbol, architecture, ...numbers }]) => ({
    architecture,
    name: names.get(symbol) ?? symbol,
    ...numbers,
    instructions: code.get(key) ?? new Map(),
  }));
}

/** " Function NAME:" and, on the next line, "  REG:40 STACK:0 SHARED:0 LOCAL:0 …", below "arch = sm_80". */
export function readResources(text) {
  const found = new Map();
  let [architecture, symbol] = ['', ''];
  for (const line of text.split('\n')) {
    architecture = /^arch = (\w+)/.exec(line)?.[1] ?? architecture;
    symbol = /^\s*Function (\S+):$/.exec(line)?.[1] ?? symbol;
    const numbers = /^\s*REG:(\d+) STACK:(\d+) SHARED:(\d+) LOCAL:(\d+)/.exec(line)?.slice(1).map(Number);
    if (numbers === undefined || symbol === '') continue;
    const [registers = 0, stack = 0, sharedBytes = 0, local = 0] = numbers;
    found.set(`${architecture} ${symbol}`, { architecture, symbol, registers, stackBytes: stack + local, sharedBytes });
    symbol = '';
  }
  return found;
}

/** "Function : NAME" and lines such as "/*0120*\/   @!P0 HMMA.16816.F32.BF16 R4, …", below "arch = sm_80". */
export function readCode(text) {
  const found = new Map();
  let architecture = '';
  let counts = new Map();
  for (const line of text.split('\n')) {
    architecture = /^\s*arch = (\w+)/.exec(line)?.[1] ?? architecture;
    const symbol = /^\s*Function : (\S+)/.exec(line)?.[1];
    if (symbol !== undefined) {
      counts = new Map();
      found.set(`${architecture} ${symbol}`, counts);
    }
    const name = /^\s*\/\*[\da-f]{4,}\*\/\s+(?:@!?\w+\s+)?([A-Z][A-Z\d]*)/.exec(line)?.[1];
    if (name !== undefined) counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return found;
}

function demangle(symbols) {
  if (symbols.length === 0) return new Map();
  const { stdout, status } = spawnSync('c++filt', symbols, { encoding: 'utf8' });
  const names = status === 0 ? stdout.trim().split('\n') : symbols;
  return new Map(symbols.map((symbol, index) => [symbol, names[index] ?? symbol]));
}

function run(program, args) {
  const result = spawnSync(program, args, { encoding: 'utf8', maxBuffer: 2 ** 30 });
  if (result.status === 0) return result.stdout;
  if (/does not contain device code/.test(`${result.stdout}${result.stderr}`)) return '';
  throw new BuildError(`${program} ${args.join(' ')}: ${result.error?.message ?? result.stderr}`);
}

/** What is said of memory that was given in flags. */
import { formatBytes } from '../../platform/process/quantities.ts';
import { ConfigError } from './load-config.ts';

/** Why a KV cache is smaller than what was given for it. */
export function unusedMemory(given: number, used: number, sequences: number, longest: number): string {
  return (
    `the KV cache takes ${formatBytes(used)} of --kv-memory ${formatBytes(given)}: --max-num-seqs ${sequences} ` +
    `of ${longest} tokens use no more`
  );
}

/** Throws a ConfigError when a flag gives a worker more memory than its device has; null: it was not given. */
export function checkMemory(flag: string, given: number | null, totalBytes: number, device = 'the CPU'): void {
  if (given === null || given <= totalBytes) return;
  throw new ConfigError([
    `--${flag}: expected no more than the ${formatBytes(totalBytes)} of ${device === 'the CPU' ? 'this machine' : device}, got ${formatBytes(given)}`,
  ]);
}

import type { Gpu } from '../../native/native.ts';
import { ConfigError } from '../config/load-config.ts';

/** What one of several workers on a machine computes with. */
export interface WorkerDevice {
  /** As --device says it. */
  readonly device: string;
  /** Bytes for its weights and caches; null: the worker sees for itself what is free. */
  readonly memoryBytes: number | null;
}

/** Share of a GPU's free memory that workers divide among them where there are more of them than GPUs. */
const MEMORY_SHARE = 0.9;

/**
 * A GPU for each of `workers`, one after the other. `auto` lets them share where GPUs are fewer, and divides what is free, by
 * `freeBytes`; `cuda` does not. Throws a ConfigError.
 */
export function assignGpus(
  device: string,
  workers: number,
  gpus: readonly Gpu[],
  freeBytes: (id: string) => number,
): readonly WorkerDevice[] {
  if (device.includes(':') && workers > 1) {
    const library = device.split(':')[0];
    throw new ConfigError([
      `--device: expected ${library}, which gives each of the ${workers} workers a GPU of its own, got "${device}"`,
    ]);
  }
  if (device !== 'auto' && workers > gpus.length) {
    throw new ConfigError([
      `--workers: expected at most ${gpus.length}, one for each GPU (${gpus.map(({ id }) => id).join(', ')}), got ${workers}; ` +
        'with --device auto they share',
    ]);
  }
  const usable = device.includes(':') ? gpus.filter(({ id }) => id === device) : gpus;
  return Array.from({ length: workers }, (_, index) => {
    const own = usable[index % usable.length];
    if (own === undefined) throw new ConfigError([`--device: there is no ${device}`]);
    const sharers = Math.floor((workers - 1 - (index % usable.length)) / usable.length) + 1;
    return {
      device: own.id,
      memoryBytes: sharers === 1 ? null : Math.floor((freeBytes(own.id) * MEMORY_SHARE) / sharers),
    };
  });
}

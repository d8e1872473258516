import type { PlannerWorker } from '../input/input.ts';

/** A GPU reads weights about as fast as this many CPU cores do (4.8 TB/s beside about 20 GB/s a core). */
const coresPerGpu = 256;

/** Relative speed of a worker's compute, in CPU cores. */
export function speedOf(worker: PlannerWorker): number {
  return worker.device.startsWith('cuda') ? coresPerGpu : Math.max(1, worker.cores);
}

/**
 * Shares `wanted` bytes out in proportion to speed, none above its capacity: min(capacity, level * speed) with the level
 * that makes the sum `wanted`, or all of the capacity when there is less than that.
 */
export function fairShares(
  wanted: number,
  workers: readonly { readonly capacityBytes: number; readonly speed: number }[],
): Float64Array {
  const shares = Float64Array.from(workers, (worker) => worker.capacityBytes);
  const byFullness = workers
    .map((worker, index) => ({ index, ...worker }))
    .sort((a, b) => a.capacityBytes / a.speed - b.capacityBytes / b.speed || a.index - b.index);
  let left = wanted;
  let speedLeft = workers.reduce((sum, worker) => sum + worker.speed, 0);
  for (const worker of byFullness) {
    const level = left / speedLeft;
    if (worker.capacityBytes >= level * worker.speed) {
      // So can all that follow. One level for them all: workers that are alike have the same share to the last bit.
      for (const { index, capacityBytes, speed } of byFullness) shares[index] = Math.min(capacityBytes, level * speed);
      break;
    }
    left -= worker.capacityBytes;
    speedLeft -= worker.speed;
  }
  return shares;
}

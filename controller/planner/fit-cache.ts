import type { PlanInput, PlanResult } from './input/input.ts';
import { plan } from './plan.ts';

/**
 * Plans with a cache of the requested size, or with the largest of its halves that is feasible, down to `leastBlocks`. With
 * `leastBlocks` at the requested size only that one will do. What is missing is said of the smallest.
 */
export function planFittingCache(input: PlanInput, leastBlocks: number): PlanResult {
  let { kvBlocks } = input.constraints;
  for (;;) {
    const result = plan({ ...input, constraints: { ...input.constraints, kvBlocks } });
    if (result.kind === 'planned' || kvBlocks <= leastBlocks) return result;
    kvBlocks = Math.max(leastBlocks, Math.floor(kvBlocks / 2));
  }
}

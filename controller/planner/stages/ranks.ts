import type { ModelFootprint } from '../input/memory.ts';

/** Why the model cannot be split over this many tensor-parallel ranks; null when it can. */
export function splitProblem(model: ModelFootprint, ranks: number): string | null {
  if (ranks === 1) return null;
  for (const [index, { shared }] of model.layers.entries()) {
    for (const { heads, inseparable } of shared) {
      if (inseparable) {
        return `tensor-parallel size ${ranks}: layer ${index} normalises queries and keys over all heads together, so its attention cannot be split by heads; use 1`;
      }
      if (heads !== null && ranks > heads) {
        return `tensor-parallel size ${ranks}: layer ${index} has ${heads} heads for ranks to share, and every rank needs at least one`;
      }
    }
  }
  return null;
}

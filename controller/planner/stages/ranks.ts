import type { ModelFootprint } from '../input/memory.ts';

/** Into how many stages the model can be cut at most: layers that read what earlier ones left stay with them. */
export function mostStages({ layers }: ModelFootprint): number {
  return layers.filter(({ withPrevious }, index) => index === 0 || !withPrevious).length;
}

/** Why the model cannot be split over this many tensor-parallel ranks; null when it can. */
export function splitProblem(model: ModelFootprint, ranks: number): string | null {
  if (ranks === 1) return null;
  for (const [index, { shared }] of model.layers.entries()) {
    for (const { heads, inseparable } of shared) {
      if (inseparable) {
        return `tensor-parallel size ${ranks}: what each head of layer ${index} needs is made of all of them or of another layer, so that ranks cannot share them; use 1`;
      }
      if (heads !== null && ranks > heads) {
        return `tensor-parallel size ${ranks}: layer ${index} has ${heads} heads for ranks to share, and every rank needs at least one`;
      }
    }
  }
  return null;
}

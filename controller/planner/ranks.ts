import type { ModelFootprint } from './memory.ts';

/** What tensor-parallel rank r of n holds: key/value heads and a fraction of every dense intermediate dimension. */
export interface RankShare {
  readonly firstKvHead: number;
  readonly endKvHead: number;
  readonly ffnBegin: number;
  readonly ffnEnd: number;
  readonly ffnParts: number;
}

/** Contiguous, near-even slices. Rank 0, which also owns what is not split, gets the smaller one where they differ. */
export function rankShare(rank: number, ranks: number, kvHeads: number): RankShare {
  return {
    firstKvHead: Math.floor((rank * kvHeads) / ranks),
    endKvHead: Math.floor(((rank + 1) * kvHeads) / ranks),
    ffnBegin: rank,
    ffnEnd: rank + 1,
    ffnParts: ranks,
  };
}

/** Why the model cannot be split over this many tensor-parallel ranks; null when it can. */
export function splitProblem(model: ModelFootprint, ranks: number): string | null {
  if (ranks === 1) return null;
  const kvHeads = model.layers[0]?.kvHeads ?? 0;
  for (const [index, layer] of model.layers.entries()) {
    if (layer.headsInseparable) {
      return `tensor-parallel size ${ranks}: layer ${index} normalises queries and keys over all heads together, so its attention cannot be split by heads; use 1`;
    }
    if (layer.kvHeads !== kvHeads) {
      return `tensor-parallel size ${ranks}: layer ${index} has ${layer.kvHeads} key/value heads and layer 0 has ${kvHeads}; models whose layers differ cannot be split by heads; use 1`;
    }
  }
  if (ranks > kvHeads) {
    return `tensor-parallel size ${ranks}: the model has ${kvHeads} key/value heads, and every rank needs at least one`;
  }
  return null;
}

// Cuts the layers into contiguous ranges, one per stage, by dynamic programming over (stages, end layer): of all cuts, one
// whose most costly stage costs least.
export interface LayerRange {
  readonly first: number;
  readonly end: number;
}

/**
 * Ranges of at least one layer each that cover [0, layers), with the least maximum of `cost`; null when every cut has a
 * stage that costs infinity, or there are more stages than layers.
 */
export function partitionLayers(
  layers: number,
  stages: number,
  cost: (stage: number, range: LayerRange) => number,
): readonly LayerRange[] | null {
  let best = Array.from({ length: layers + 1 }, (_, end) => (end === 0 ? 0 : Number.POSITIVE_INFINITY));
  const cuts: number[][] = [];
  for (let stage = 0; stage < stages; stage++) {
    const next = new Array<number>(layers + 1).fill(Number.POSITIVE_INFINITY);
    const cut = new Array<number>(layers + 1).fill(-1);
    for (let end = stage + 1; end <= layers - (stages - 1 - stage); end++) {
      for (let first = stage; first < end; first++) {
        if (best[first] === Number.POSITIVE_INFINITY) continue;
        const worst = Math.max(best[first]!, cost(stage, { first, end }));
        if (worst < next[end]!) {
          next[end] = worst;
          cut[end] = first;
        }
      }
    }
    best = next;
    cuts.push(cut);
  }
  if (best[layers] === Number.POSITIVE_INFINITY) return null;
  const ranges: LayerRange[] = [];
  for (let stage = stages - 1, end = layers; stage >= 0; stage--) {
    const first = cuts[stage]![end]!;
    ranges.unshift({ first, end });
    end = first;
  }
  return ranges;
}

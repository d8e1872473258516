// How many replicas each expert gets: what operators ask for, then extra ones for the experts with the most load per
// replica, as far as workers and memory allow. Replicas that exist already are preferred, so that small changes of load or
// memory change few counts.
import { formatBytes } from '../../../platform/process/quantities.ts';
import type { ExpertLoad } from '../input/input.ts';

export interface ReplicaLayer {
  readonly layer: number;
  /** Expected load of each expert, [experts]; see expertLoads. */
  readonly loads: readonly number[];
  /** Bytes of one replica of an expert, all slices together. */
  readonly bytes: number;
  /** Replicas that operators want of each expert, [experts]; ≥ 1. */
  readonly asked: readonly number[];
  /** Replicas that exist and may stay, [experts]. */
  readonly kept: readonly number[];
}

export interface ReplicaCounts {
  /** [layers][experts]. */
  readonly counts: readonly (readonly number[])[];
  readonly shortfalls: readonly string[];
}

/** Load resolution: the mean expert of a layer of the largest experts has this load. */
const meanLoad = 1e6;
/** Part of an expert's expected load that does not depend on what was measured; keeps idle experts from piling up. */
const floorShare = 0.1;
/** A replica that exists is worth this many times one that would have to be loaded. */
const keepBonus = 1.2;

/** Expected loads as integers ≥ 1, in proportion to rows and to `relativeBytes`; even where nothing was measured. */
export function expertLoads(load: ExpertLoad | undefined, experts: number, relativeBytes: number): number[] {
  const rows = load?.expertRows ?? [];
  const total = rows.reduce((sum, value) => sum + value, 0);
  const scale = meanLoad * relativeBytes;
  return Array.from({ length: experts }, (_, expert) => {
    const relative = total > 0 ? (experts * (rows[expert] ?? 0)) / total : 1;
    return Math.max(1, Math.round(scale * ((1 - floorShare) * relative + floorShare)));
  });
}

/**
 * Replica counts of all experts: at least 1, at most one per worker. `capacityBytes` is what all workers together can hold.
 * `extrasPerLayer` bounds the extra replicas of each layer.
 */
export function replicaCounts(
  layers: readonly ReplicaLayer[],
  workers: number,
  capacityBytes: number,
  extrasPerLayer: readonly number[],
): ReplicaCounts {
  const shortfalls: string[] = [];
  const most = layers.reduce((all, layer) => layer.asked.reduce((largest, asked) => Math.max(largest, asked), all), 0);
  if (most > workers) {
    shortfalls.push(`${most} replicas of an expert need ${most} workers for experts; there ${countOf(workers)}`);
  }
  const counts = layers.map((layer) => layer.asked.map((asked) => Math.max(1, Math.min(asked, workers))));
  let bytes = 0;
  layers.forEach((layer, m) => {
    for (const count of counts[m]!) bytes += count * layer.bytes;
  });
  if (bytes > capacityBytes) {
    const missingBytes = bytes - capacityBytes;
    const removed = removeReplicas(layers, counts, missingBytes);
    bytes -= removed.bytes;
    if (removed.replicas > 0) {
      shortfalls.push(`${removed.replicas} expert replicas do not fit: ${formatBytes(missingBytes)} are missing`);
    }
  }
  addExtras(layers, counts, workers, capacityBytes - bytes, extrasPerLayer);
  return { counts, shortfalls };
}

function countOf(workers: number): string {
  return workers === 1 ? 'is 1' : `are ${workers}`;
}

/** Gives up replicas beyond the first until `bytes` are saved: high counts first, then those not loaded, then idle ones. */
function removeReplicas(
  layers: readonly ReplicaLayer[],
  counts: number[][],
  bytes: number,
): { readonly bytes: number; readonly replicas: number } {
  const candidates: { m: number; expert: number; nth: number; loaded: boolean }[] = [];
  layers.forEach((layer, m) => {
    counts[m]!.forEach((count, expert) => {
      for (let nth = 2; nth <= count; nth++) candidates.push({ m, expert, nth, loaded: nth <= layer.kept[expert]! });
    });
  });
  const loadOf = (c: { m: number; expert: number }) => layers[c.m]!.loads[c.expert]!;
  candidates.sort(
    (a, b) =>
      b.nth - a.nth || Number(a.loaded) - Number(b.loaded) || loadOf(a) - loadOf(b) || b.m - a.m || b.expert - a.expert,
  );
  let saved = 0;
  let replicas = 0;
  for (const { m, expert } of candidates) {
    if (saved >= bytes) break;
    counts[m]![expert]! -= 1;
    saved += layers[m]!.bytes;
    replicas += 1;
  }
  return { bytes: saved, replicas };
}

/** One more replica at a time for the expert with the most load per replica, layer by layer in turn, while memory lasts. */
function addExtras(
  layers: readonly ReplicaLayer[],
  counts: number[][],
  workers: number,
  freeBytes: number,
  extrasPerLayer: readonly number[],
): void {
  let free = freeBytes;
  const rounds = extrasPerLayer.reduce((most, extras) => Math.max(most, extras), 0);
  for (let round = 0; round < rounds; round++) {
    layers.forEach((layer, m) => {
      if (round >= extrasPerLayer[m]! || layer.bytes > free) return;
      const expert = neediest(layer, counts[m]!, workers);
      if (expert < 0) return;
      counts[m]![expert]! += 1;
      free -= layer.bytes;
    });
  }
}

function neediest(layer: ReplicaLayer, counts: readonly number[], workers: number): number {
  let best = -1;
  let bestNeed = 0;
  counts.forEach((count, expert) => {
    if (count >= workers) return;
    const need = (layer.loads[expert]! / count) * (layer.kept[expert]! > count ? keepBonus : 1);
    if (need > bestNeed) {
      best = expert;
      bestNeed = need;
    }
  });
  return best;
}

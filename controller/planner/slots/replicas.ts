// How many replicas each expert gets: what operators ask for, then extra ones for the experts with the most load per
// replica, as far as workers and memory allow. Replicas that exist already are preferred, so that small changes of load or
// memory change few counts. An expert whose count operators asked for by name has just that.
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
  /** Experts that get no replica beyond those asked for, [experts]. */
  readonly fixed: readonly boolean[];
  /** Most replicas beyond those asked for, in all. */
  readonly extras: number;
}

/** Which extra replicas are given: those that load asks for, or of those the ones that exist. */
export type Extras = 'any' | 'kept';

export interface ReplicaCounts {
  /** [layers][experts]. */
  readonly counts: readonly (readonly number[])[];
  readonly shortfalls: readonly string[];
}

/** Load resolution: the mean expert of a layer of the largest experts has this load. */
const meanLoad = 1e9;
/** Part of an expert's expected load that does not depend on what was measured: what keeps idle experts from counting nothing. */
const floorShare = 1e-6;
/** A replica that exists is worth this many times one that would have to be loaded. */
const keepBonus = 1.05;

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
 */
export function replicaCounts(
  layers: readonly ReplicaLayer[],
  workers: number,
  capacityBytes: number,
  extras: Extras,
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
  addExtras(layers, counts, workers, capacityBytes - bytes, extras);
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
  extras: Extras,
): void {
  let free = freeBytes;
  const rounds = layers.reduce((most, layer) => Math.max(most, layer.extras), 0);
  for (let round = 0; round < rounds; round++) {
    layers.forEach((layer, m) => {
      if (round >= layer.extras || layer.bytes > free) return;
      const expert = neediest(layer, counts[m]!, workers, extras);
      if (expert < 0) return;
      counts[m]![expert]! += 1;
      free -= layer.bytes;
    });
  }
}

function neediest(layer: ReplicaLayer, counts: readonly number[], workers: number, extras: Extras): number {
  let best = -1;
  let bestNeed = 0;
  counts.forEach((count, expert) => {
    const exists = layer.kept[expert]! > count;
    if (count >= workers || layer.fixed[expert] || (extras === 'kept' && !exists)) return;
    const need = (layer.loads[expert]! / count) * (exists ? keepBonus : 1);
    if (need > bestNeed) {
      best = expert;
      bestNeed = need;
    }
  });
  return best;
}

import type { ExpertRoute } from '../../native/native.ts';

/** Target number of the stage's own expert bank. */
export const LOCAL_TARGET = 0;
/** Target number of slices that no replica can answer for now. */
export const NO_TARGET = -1;

/** What routes need to know of a target besides where the slots are. */
export interface TargetHealth {
  /** Whether dispatches may go there now. */
  usable(target: number): boolean;
  /** Relative capacity, > 0: fast targets get more rows. */
  share(target: number): number;
}

/** Replicas of one layer's expert slices: targets[sliceId] lists those that hold the slice and are meant to be used. */
export interface LayerReplicas {
  readonly layer: number;
  readonly slices: number;
  readonly targets: readonly (readonly number[])[];
}

/** The native route of a layer: usable replicas only. A slice without one is left empty and is dispatched to NO_TARGET. */
export function expertRoute(replicas: LayerReplicas, health: TargetHealth): ExpertRoute {
  const offsets = new Int32Array(replicas.targets.length + 1);
  const targets: number[] = [];
  replicas.targets.forEach((holders, sliceId) => {
    for (const target of holders) if (health.usable(target)) targets.push(target);
    offsets[sliceId + 1] = targets.length;
  });
  return {
    slices: replicas.slices,
    offsets,
    targets: Int32Array.from(targets),
    shares: Float32Array.from(targets, (target) => health.share(target)),
  };
}

/** The best replica of a slice that is usable and not excluded, or NO_TARGET. Ties go to the first. */
export function pickReplica(
  replicas: LayerReplicas,
  sliceId: number,
  excluded: ReadonlySet<number>,
  health: TargetHealth,
): number {
  let best = NO_TARGET;
  let bestShare = 0;
  for (const target of replicas.targets[sliceId] ?? []) {
    if (excluded.has(target) || !health.usable(target)) continue;
    const share = health.share(target);
    if (share > bestShare) {
      best = target;
      bestShare = share;
    }
  }
  return best;
}

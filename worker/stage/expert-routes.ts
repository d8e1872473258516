import type { ModelSpec, PlacementPlan } from '../../proto/messages.ts';
import type { LayerReplicas } from '../shard/replicas.ts';

/** Expert slices that a worker says it holds, by layer. */
export interface Holder {
  /** Target number of the worker; 0 for this process. */
  readonly target: number;
  readonly held: readonly { readonly layer: number; readonly slices: number; readonly sliceIds: readonly number[] }[];
}

/**
 * Where each layer's experts can be asked for: every worker that says it holds a slice. A worker takes a slot off its list
 * before it frees it, so a plan changes routes slot by slot, when each reports ready, without a barrier.
 *
 * A layer whose slice count changes moves as a whole: it follows the target plan once every slice has a holder, and the
 * committed one until then.
 */
export function expertRoutes(
  spec: ModelSpec,
  layers: { readonly first: number; readonly end: number },
  target: PlacementPlan,
  committed: PlacementPlan | null,
  holders: readonly Holder[],
): readonly LayerReplicas[] {
  const routes: LayerReplicas[] = [];
  for (let layer = layers.first; layer < layers.end; layer++) {
    const experts = spec.layers[layer]?.moe?.experts.length ?? 0;
    if (experts === 0) continue;
    const wanted = replicasOf(layer, experts, slicesOf(target, layer), holders);
    const before = slicesOf(committed, layer);
    const covered = wanted.targets.every((targets) => targets.length > 0);
    routes.push(covered || before === wanted.slices ? wanted : replicasOf(layer, experts, before, holders));
  }
  return routes;
}

function slicesOf(plan: PlacementPlan | null, layer: number): number {
  return plan?.experts.find((placement) => placement.layer === layer)?.slices ?? 1;
}

function replicasOf(layer: number, experts: number, slices: number, holders: readonly Holder[]): LayerReplicas {
  const targets: number[][] = Array.from({ length: experts * slices }, () => []);
  for (const holder of holders) {
    for (const entry of holder.held) {
      if (entry.layer !== layer || entry.slices !== slices) continue;
      for (const sliceId of entry.sliceIds) targets[sliceId]?.push(holder.target);
    }
  }
  return { layer, slices, targets };
}

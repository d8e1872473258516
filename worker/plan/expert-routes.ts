import type { ModelSpec, PlacementPlan } from '../../proto/messages.ts';
import { expertCount } from '../../proto/model/operators.ts';
import type { LayerReplicas } from '../shard/replicas.ts';

/** Expert slices that a worker says it holds, by layer. */
export interface Holder {
  /** Target number of the worker; 0 for this process. */
  readonly target: number;
  readonly held: readonly HeldSlices[];
  /** Slices that it holds still although no plan wants them there any more: for those that nobody else holds yet. */
  readonly spare: readonly HeldSlices[];
}

export interface HeldSlices {
  readonly layer: number;
  readonly slices: number;
  readonly sliceIds: readonly number[];
}

export interface ExpertRoutes {
  readonly routes: readonly LayerReplicas[];
  /** Whether some route leads to a spare slice. */
  readonly usesSpares: boolean;
}

/**
 * Where each layer's experts can be asked for: every worker that says it holds a slice and is meant to. So a plan changes
 * routes slot by slot, when each reports ready, without a barrier. Plans and reports come in any order: a slice whose new
 * holder has not been heard of yet is still asked for at its former one.
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
): ExpertRoutes {
  const routes: LayerReplicas[] = [];
  let usesSpares = false;
  const replicas = (layer: number, experts: number, slices: number): LayerReplicas => {
    const wanted = replicasOf(layer, experts, slices, holders, ({ held }) => held);
    if (wanted.targets.every((targets) => targets.length > 0)) return wanted;
    const spare = replicasOf(layer, experts, slices, holders, (holder) => holder.spare);
    usesSpares ||= wanted.targets.some((targets, id) => targets.length === 0 && (spare.targets[id] ?? []).length > 0);
    return {
      ...wanted,
      targets: wanted.targets.map((targets, id) => (targets.length > 0 ? targets : (spare.targets[id] ?? []))),
    };
  };
  for (let layer = layers.first; layer < layers.end; layer++) {
    const experts = expertCount(spec.layers[layer]);
    if (experts === 0) continue;
    const wanted = replicas(layer, experts, slicesOf(target, layer));
    const before = slicesOf(committed, layer);
    const covered = wanted.targets.every((targets) => targets.length > 0);
    routes.push(covered || before === wanted.slices ? wanted : replicas(layer, experts, before));
  }
  return { routes, usesSpares };
}

function slicesOf(plan: PlacementPlan | null, layer: number): number {
  return plan?.experts.find((placement) => placement.layer === layer)?.slices ?? 1;
}

function replicasOf(
  layer: number,
  experts: number,
  slices: number,
  holders: readonly Holder[],
  slicesOfHolder: (holder: Holder) => readonly HeldSlices[],
): LayerReplicas {
  const targets: number[][] = Array.from({ length: experts * slices }, () => []);
  for (const holder of holders) {
    for (const entry of slicesOfHolder(holder)) {
      if (entry.layer !== layer || entry.slices !== slices) continue;
      for (const sliceId of entry.sliceIds) targets[sliceId]?.push(holder.target);
    }
  }
  return { layer, slices, targets };
}

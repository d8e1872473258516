// The loads and sizes on which placements are compared: slots of a layer on workers, each with room for just its share.
import { defaultConstraints, type ExpertLoad, type PlanInput } from '../../controller/planner/input/input.ts';
import type { PlacementPlan } from '../../proto/messages.ts';
import { balancedness, type LayerPacking, type PackedSlot } from './eplb.ts';
import { generator, logNormal, zipf } from './loads.ts';
import { moeSpec } from './moe-spec.ts';

export interface BalanceCase {
  readonly name: string;
  readonly experts: number;
  readonly slots: number;
  readonly workers: number;
  /** By layer. */
  readonly load: readonly ExpertLoad[];
}

const caseLayers = 16;
const sizes = [
  { experts: 256, slots: 288, workers: 144 },
  { experts: 128, slots: 160, workers: 16 },
  { experts: 128, slots: 144, workers: 8 },
] as const;
/** Experts with this many times the load of the others. */
const hot = { experts: 4, times: 20 } as const;

const kinds: readonly { readonly name: string; readonly rows: (experts: number, random: () => number) => number[] }[] =
  [
    { name: 'log-normal, sigma 1', rows: (experts, random) => logNormal(experts, 1, random) },
    { name: 'Zipf, exponent 0.8', rows: (experts, random) => zipf(experts, 0.8, random) },
    {
      name: `${hot.experts} experts ${hot.times} times as hot`,
      rows: (experts, random) =>
        logNormal(experts, 0.4, random).map((load, expert) => (expert < hot.experts ? hot.times : 1) * load),
    },
  ];

export const balanceCases: readonly BalanceCase[] = sizes.flatMap((size) =>
  kinds.map(({ name, rows }) => {
    const random = generator(1);
    const load = Array.from({ length: caseLayers }, (_, layer) => ({ layer, expertRows: rows(size.experts, random) }));
    return { ...size, name: `${size.slots} slots on ${size.workers} workers, ${name}`, load };
  }),
);

/** The same for the planner: one worker for the stage, and memory for no slot more. Eight workers to a node. */
export function planInputOf({ experts, slots, workers, load }: BalanceCase): PlanInput {
  const layers = load.length;
  const shape = {
    ...{ layers, hidden: 64, vocab: 100, heads: 4, kvHeads: 2, headDim: 16, experts, topK: 8, intermediate: 64 },
    ...{ sharedIntermediate: 0, qkNorm: 'QK_NORM_UNSPECIFIED' as const },
  };
  const expertBytes = 3 * shape.hidden * shape.intermediate * 2;
  const stage = { id: 'stage', address: 'stage:1', node: 'stage', roles: ['stage'], memoryBytes: 1e9 };
  const hosts = Array.from({ length: workers }, (_, i) => ({
    ...{ id: `w${String(i).padStart(4, '0')}`, address: `w${i}:1`, node: `node${i >> 3}`, roles: ['expert'] },
    memoryBytes: (layers * slots * expertBytes) / workers,
  }));
  return {
    spec: moeSpec(shape),
    weights: 'bf16',
    workers: [stage, ...hosts].map((worker) => ({ ...worker, cores: 16, device: 'cpu' })),
    load,
    constraints: { ...defaultConstraints, redundancy: (slots - experts) / experts },
    constraintsRevision: 0,
    term: 1,
    previous: null,
    reason: 'bench',
  };
}

/** The slots of a plan as the baseline's, by layer. */
export function packings({ load, workers }: BalanceCase, plan: PlacementPlan): LayerPacking[] {
  return plan.experts.map(({ layer, expert, worker }) => {
    const held = new Map<string, PackedSlot[]>();
    expert.forEach((id, slot) => {
      const replicas = expert.filter((other) => other === id).length;
      const host = plan.workers[worker[slot]!]!.id;
      held.set(host, [...(held.get(host) ?? []), { expert: id, load: load[layer]!.expertRows[id]! / replicas }]);
    });
    return [...held.values(), ...Array.from({ length: workers - held.size }, (): PackedSlot[] => [])];
  });
}

/** Mean over the layers of balancedness. */
export function meanOf(layers: readonly LayerPacking[]): number {
  return layers.map(balancedness).reduce((sum, value) => sum + value, 0) / layers.length;
}

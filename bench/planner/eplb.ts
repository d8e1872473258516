// The baseline for balance: DeepSeek's expert-parallel load balancer (EPLB), its global policy, as its authors describe it.
//   1. One more replica at a time for the expert of the layer with the most load per replica, until there are `slots` of them.
//   2. The slots, heaviest first, each to the worker with the least load that has fewer than slots / workers of them.

/** A slot of a layer: the expert in it and its part of the expert's load. */
export interface PackedSlot {
  readonly expert: number;
  readonly load: number;
}

/** The slots of one layer that each worker holds. */
export type LayerPacking = readonly (readonly PackedSlot[])[];

/** Packs one layer. `loads`: [experts]; `slots` must be a multiple of `workers`. */
export function eplb(loads: readonly number[], slots: number, workers: number): LayerPacking {
  const perWorker = slots / workers;
  if (!Number.isInteger(perWorker)) throw new Error(`slots: expected a multiple of ${workers} workers, got ${slots}`);
  const packed = Array.from({ length: workers }, (): PackedSlot[] => []);
  const total = new Float64Array(workers);
  for (const slot of replicate(loads, slots).sort((a, b) => b.load - a.load)) {
    let least = -1;
    for (let worker = 0; worker < workers; worker++) {
      if (packed[worker]!.length < perWorker && (least < 0 || total[worker]! < total[least]!)) least = worker;
    }
    packed[least]!.push(slot);
    total[least]! += slot.load;
  }
  return packed;
}

function replicate(loads: readonly number[], slots: number): PackedSlot[] {
  const replicas = loads.map(() => 1);
  for (let slot = loads.length; slot < slots; slot++) {
    let busiest = 0;
    for (let expert = 1; expert < loads.length; expert++) {
      if (loads[expert]! / replicas[expert]! > loads[busiest]! / replicas[busiest]!) busiest = expert;
    }
    replicas[busiest]! += 1;
  }
  return loads.flatMap((load, expert) =>
    Array.from({ length: replicas[expert]! }, () => ({ expert, load: load / replicas[expert]! })),
  );
}

/** Mean worker's load divided by the busiest worker's. 1: even. */
export function balancedness(packing: LayerPacking): number {
  const loads = packing.map((held) => held.reduce((sum, { load }) => sum + load, 0));
  return loads.reduce((sum, load) => sum + load, 0) / loads.length / Math.max(...loads);
}

// The state that slot placement works on. A unit is one slice of one logical expert; a slot is one of its replicas.
//
// Cost of a placement: sum over layers l and workers w of L(l,w)^2 / (2 q(w) mean(l)) + sum over w of T(w)^2 / (2 q(w) mean),
// L and T the load of w in the layer and in all, q(w) its fair share of the slots, mean the load per unit of fair share.
// A layer ends when its busiest worker does, so each layer counts by itself; the totals keep workers alike where a layer
// has fewer slots than there are workers. Loads are integers, so sums do not depend on the order of additions.
import { fairShares } from './capacity.ts';

export interface SlotWorker {
  readonly id: string;
  readonly node: string;
  /** Bytes left for slots. */
  readonly capacityBytes: number;
  /** Relative; > 0. */
  readonly speed: number;
  /** It keeps its slots and gets no other. */
  readonly cordoned: boolean;
}

/** Routed experts of one layer and how many replicas of each are wanted. */
export interface SlotLayer {
  /** Layer index in the model. */
  readonly layer: number;
  readonly slices: number;
  readonly sliceBytes: number;
  /** Expected load of each expert, integers ≥ 1, [experts]. */
  readonly loads: readonly number[];
  /** Replicas wanted of each expert, [experts]. */
  readonly replicas: readonly number[];
  /** Replicas of each expert that operators asked for, [experts]: they are there to survive a node, the others for the load. */
  readonly asked: readonly number[];
}

/** A worker is crowded from this many times its fair share of a layer's slots. */
const crowd = 3;

/** Positions of the slots by unit: workers (indices) that hold a replica, in no particular order. */
export type Holders = readonly (readonly number[])[];

export class SlotBoard {
  readonly unitCount: number;
  /** First unit of each layer, and one past the last unit at the end. Units of a layer go by expert, then slice. */
  readonly firstUnit: Int32Array;
  readonly layerOf: Int32Array;
  /** Load of one replica of each unit. */
  readonly slotLoad: Float64Array;
  readonly wanted: Int32Array;
  readonly fairShare: Float64Array;
  readonly largestShare: number;
  /** Sum of all fair shares. */
  readonly shares: number;
  readonly usedBytes: Float64Array;
  readonly totalLoad: Float64Array;
  /** [layers * workers]. */
  readonly layerLoad: Float64Array;
  /** Slots by layer and worker, [layers * workers]. */
  readonly layerSlots: Int32Array;
  /** Slots that each layer wants. */
  readonly layerWanted: Float64Array;
  /** Load per unit of fair share if all were even, per layer and over all layers. */
  readonly layerMean: Float64Array;
  readonly mean: number;
  readonly nodeOf: Int32Array;
  readonly nodeCount: number;
  readonly holders: number[][];
  /** Slots that keep their room when they leave: see keepRoom. */
  #loaded: ReadonlySet<number> = new Set();
  readonly unitsOf: Set<number>[];
  readonly workers: readonly SlotWorker[];
  readonly layers: readonly SlotLayer[];

  constructor(workers: readonly SlotWorker[], layers: readonly SlotLayer[]) {
    this.workers = workers;
    this.layers = layers;
    this.firstUnit = new Int32Array(layers.length + 1);
    layers.forEach((layer, m) => {
      this.firstUnit[m + 1] = this.firstUnit[m]! + layer.loads.length * layer.slices;
    });
    this.unitCount = this.firstUnit[layers.length]!;
    this.layerOf = new Int32Array(this.unitCount);
    this.slotLoad = new Float64Array(this.unitCount);
    this.wanted = new Int32Array(this.unitCount);
    this.layerWanted = new Float64Array(layers.length);
    const layerTotal = new Float64Array(layers.length);
    let wantedBytes = 0;
    layers.forEach((layer, m) => {
      for (let unit = this.firstUnit[m]!; unit < this.firstUnit[m + 1]!; unit++) {
        const expert = Math.floor((unit - this.firstUnit[m]!) / layer.slices);
        this.layerOf[unit] = m;
        this.wanted[unit] = layer.replicas[expert]!;
        this.slotLoad[unit] = this.loadPerReplica(unit, layer.replicas[expert]!);
        this.layerWanted[m]! += this.wanted[unit]!;
        layerTotal[m]! += this.slotLoad[unit]! * this.wanted[unit]!;
        wantedBytes += layer.sliceBytes * this.wanted[unit]!;
      }
    });
    this.fairShare = fairShares(wantedBytes, workers);
    this.largestShare = this.fairShare.reduce((largest, share) => Math.max(largest, share), 0);
    this.shares = this.fairShare.reduce((sum, share) => sum + share, 0);
    this.layerMean = layerTotal.map((total) => total / this.shares);
    this.mean = layerTotal.reduce((sum, total) => sum + total, 0) / this.shares;
    this.usedBytes = new Float64Array(workers.length);
    this.totalLoad = new Float64Array(workers.length);
    this.layerLoad = new Float64Array(layers.length * workers.length);
    this.layerSlots = new Int32Array(layers.length * workers.length);
    const nodes = new Map<string, number>();
    for (const worker of workers) if (!nodes.has(worker.node)) nodes.set(worker.node, nodes.size);
    this.nodeOf = Int32Array.from(workers, (worker) => nodes.get(worker.node)!);
    this.nodeCount = nodes.size;
    this.holders = Array.from({ length: this.unitCount }, () => []);
    this.unitsOf = workers.map(() => new Set());
  }

  bytesOf(unit: number): number {
    return this.layers[this.layerOf[unit]!]!.sliceBytes;
  }

  holds(unit: number, worker: number): boolean {
    return this.holders[unit]!.includes(worker);
  }

  freeBytes(worker: number): number {
    return this.workers[worker]!.capacityBytes - this.usedBytes[worker]!;
  }

  /** Whether the worker can take another replica of the unit. */
  fits(unit: number, worker: number): boolean {
    return !this.workers[worker]!.cordoned && this.freeBytes(worker) >= this.bytesOf(unit) && !this.holds(unit, worker);
  }

  /** Whether slots of the worker may go elsewhere for the sake of others or of balance. */
  gives(worker: number): boolean {
    return !this.workers[worker]!.cordoned;
  }

  place(unit: number, worker: number): void {
    this.holders[unit]!.push(worker);
    this.unitsOf[worker]!.add(unit);
    this.#account(unit, worker, 1);
  }

  remove(unit: number, worker: number): void {
    const holders = this.holders[unit]!;
    holders.splice(holders.indexOf(worker), 1);
    this.unitsOf[worker]!.delete(unit);
    this.#account(unit, worker, -1);
  }

  move(unit: number, from: number, to: number): void {
    this.remove(unit, from);
    this.place(unit, to);
  }

  /** What `load` more in layer m adds to the cost at the worker. Negative load: what taking it away adds. */
  costOfAdding(m: number, worker: number, load: number): number {
    const share = this.fairShare[worker]!;
    const inLayer = this.layerLoad[m * this.workers.length + worker]!;
    const inAll = this.totalLoad[worker]!;
    return (load / share) * ((inLayer + load / 2) / this.layerMean[m]! + (inAll + load / 2) / this.mean);
  }

  loadInLayer(m: number, worker: number): number {
    return this.layerLoad[m * this.workers.length + worker]!;
  }

  /** Load of the worker in the layer, relative to its fair share. 1: even. */
  layerFullness(m: number, worker: number): number {
    return this.layerLoad[m * this.workers.length + worker]! / (this.fairShare[worker]! * this.layerMean[m]!);
  }

  /** The worker that has the most load of the layer, relative to its fair share: the layer waits for it. */
  busiest(m: number): number {
    let busiest = 0;
    let most = Number.NEGATIVE_INFINITY;
    for (let worker = 0; worker < this.workers.length; worker++) {
      const load = this.layerLoad[m * this.workers.length + worker]! / this.fairShare[worker]!;
      if (load <= most) continue;
      busiest = worker;
      most = load;
    }
    return busiest;
  }

  /** The least that the busiest worker's fullness can be: no slot can be split. */
  leastFullness(m: number): number {
    let heaviest = 0;
    for (let unit = this.firstUnit[m]!; unit < this.firstUnit[m + 1]!; unit++) {
      heaviest = Math.max(heaviest, this.slotLoad[unit]!);
    }
    return Math.max(1, heaviest / (this.largestShare * this.layerMean[m]!));
  }

  /** Whether the worker has as many slots of the layer as its fair share, `times` over and rounded up, or more. */
  hasShare(m: number, worker: number, times: number): boolean {
    const fair = (times * this.layerWanted[m]! * this.fairShare[worker]!) / this.shares;
    return this.layerSlots[m * this.workers.length + worker]! >= Math.ceil(fair - 1e-9);
  }

  /** Whether the worker has far more than its share of the layer's slots: idle experts are busy ones of another hour. */
  crowded(m: number, worker: number): boolean {
    return this.hasShare(m, worker, crowd);
  }

  /** Load of each of `replicas` replicas of a unit. */
  loadPerReplica(unit: number, replicas: number): number {
    const m = this.layerOf[unit]!;
    const { slices, loads } = this.layers[m]!;
    const expert = Math.floor((unit - this.firstUnit[m]!) / slices);
    return Math.max(1, Math.round(loads[expert]! / (slices * replicas)));
  }

  /** Changes how many replicas of a unit are wanted; those that there are share its load accordingly from now on. */
  want(unit: number, replicas: number): void {
    const m = this.layerOf[unit]!;
    const load = this.loadPerReplica(unit, replicas);
    const more = load - this.slotLoad[unit]!;
    this.layerWanted[m]! += replicas - this.wanted[unit]!;
    this.wanted[unit] = replicas;
    this.slotLoad[unit] = load;
    for (const worker of this.holders[unit]!) {
      this.totalLoad[worker]! += more;
      this.layerLoad[m * this.workers.length + worker]! += more;
    }
  }

  /** Load of the worker in all, relative to its fair share, with `more` added. */
  fullness(worker: number, more = 0): number {
    return (this.totalLoad[worker]! + more) / (this.fairShare[worker]! * this.mean);
  }

  /**
   * How badly a replica of the unit would stand on the worker: 2 where the replicas asked for would not be on as many nodes as
   * they could, 1 beside another slice of its expert on the same worker, 3 for both. `except` is a holder that is about to give
   * its replica up.
   */
  conflicts(unit: number, worker: number, except: number): number {
    const m = this.layerOf[unit]!;
    const { slices, asked } = this.layers[m]!;
    const apart = Math.min(asked[Math.floor((unit - this.firstUnit[m]!) / slices)]!, this.nodeCount);
    const crowded = apart > 1 && this.hasNeighbour(unit, worker, except) && this.#nodes(unit, worker, except) < apart;
    const conflicts = crowded ? 2 : 0;
    if (slices === 1) return conflicts;
    const firstSlice = unit - ((unit - this.firstUnit[m]!) % slices);
    for (let sibling = firstSlice; sibling < firstSlice + slices; sibling++) {
      if (sibling !== unit && this.holds(sibling, worker)) return conflicts + 1;
    }
    return conflicts;
  }

  /** Whether another replica of the unit is on the worker's node. */
  hasNeighbour(unit: number, worker: number, except: number): boolean {
    const node = this.nodeOf[worker];
    for (const holder of this.holders[unit]!) {
      if (holder !== except && holder !== worker && this.nodeOf[holder] === node) return true;
    }
    return false;
  }

  /** Nodes of the unit's other replicas. */
  #nodes(unit: number, worker: number, except: number): number {
    const others = this.holders[unit]!.filter((holder) => holder !== except && holder !== worker);
    return new Set(others.map((holder) => this.nodeOf[holder])).size;
  }

  /** From now on, the slots that there are take their room even when they leave: others are loaded before they are freed. */
  keepRoom(): void {
    const width = this.workers.length;
    this.#loaded = new Set(this.holders.flatMap((workers, unit) => workers.map((worker) => unit * width + worker)));
  }

  /** Whether the slot was there when keepRoom was called. */
  wasLoaded(unit: number, worker: number): boolean {
    return this.#loaded.has(unit * this.workers.length + worker);
  }

  #account(unit: number, worker: number, sign: 1 | -1): void {
    const m = this.layerOf[unit]!;
    if (!this.wasLoaded(unit, worker)) this.usedBytes[worker]! += sign * this.bytesOf(unit);
    this.totalLoad[worker]! += sign * this.slotLoad[unit]!;
    this.layerLoad[m * this.workers.length + worker]! += sign * this.slotLoad[unit]!;
    this.layerSlots[m * this.workers.length + worker]! += sign;
  }
}

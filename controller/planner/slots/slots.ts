// Places the slots of routed experts on a pool of workers, keeping what the plan before had where it can:
//   1. keep the slots that may stay; 2. drop replicas beyond the number wanted; 3. empty workers that shrank;
//   4. give every unit its first replica, heaviest first; 5. then the others; 6. spread over nodes and balance.
import { rebalance } from './rebalance.ts';
import { type Holders, SlotBoard, type SlotLayer, type SlotWorker } from './slot-board.ts';

/** A worker takes replicas for the sake of spreading until it has this many times its fair share of the load. */
const spreadLimit = 2;

/**
 * Places all slots, deterministically. `kept` says where they were before, by unit as SlotBoard numbers them. A unit that
 * finds no room at all is left without a holder, one that finds too little with fewer than wanted. `balance`: whether slots
 * that have a place may get another one.
 */
export function placeSlots(
  workers: readonly SlotWorker[],
  layers: readonly SlotLayer[],
  kept: Holders,
  balance: boolean,
): SlotBoard {
  const board = new SlotBoard(workers, layers);
  const unloaded = kept.every((holders) => holders.length === 0);
  for (let unit = 0; unit < board.unitCount; unit++) {
    for (const worker of [...(kept[unit] ?? [])].sort((a, b) => a - b)) board.place(unit, worker);
  }
  for (let unit = 0; unit < board.unitCount; unit++) dropSurplus(board, unit);
  for (let worker = 0; worker < board.workers.length; worker++) shrink(board, worker);
  const short = unitsShort(board);
  if (unloaded) {
    // What finds no place now is seen to below, in that of others if need be.
    for (const unit of short) while (board.holders[unit]!.length < board.wanted[unit]! && placeBest(board, unit, true));
  }
  for (const unit of short) if (board.holders[unit]!.length === 0) cover(board, unit, unloaded);
  for (const unit of short) {
    while (board.holders[unit]!.length > 0 && board.holders[unit]!.length < board.wanted[unit]!) {
      if (!placeBest(board, unit, unloaded) && !placeBySwap(board, unit)) break;
    }
  }
  if (balance) rebalance(board, spreadLimit, unloaded);
  return board;
}

function unitsShort(board: SlotBoard): number[] {
  const short: number[] = [];
  for (let unit = 0; unit < board.unitCount; unit++) {
    if (board.holders[unit]!.length < board.wanted[unit]!) short.push(unit);
  }
  return short.sort((a, b) => board.slotLoad[b]! - board.slotLoad[a]! || a - b);
}

/** Takes replicas away until no more are left than wanted: crowded ones first, then those of the busiest workers. */
export function dropSurplus(board: SlotBoard, unit: number): void {
  while (board.holders[unit]!.length > board.wanted[unit]!) {
    const [first] = [...board.holders[unit]!].sort(
      (a, b) =>
        Number(board.hasNeighbour(unit, b, b)) - Number(board.hasNeighbour(unit, a, a)) ||
        board.conflicts(unit, b, b) - board.conflicts(unit, a, a) ||
        board.fullness(b) - board.fullness(a) ||
        b - a,
    );
    board.remove(unit, first!);
  }
}

/** Empties a worker until what it holds fits: units with other replicas first, then light ones. */
function shrink(board: SlotBoard, worker: number): void {
  if (board.freeBytes(worker) >= 0) return;
  const units = [...board.unitsOf[worker]!].sort(
    (a, b) =>
      Number(board.holders[b]!.length > 1) - Number(board.holders[a]!.length > 1) ||
      board.slotLoad[a]! - board.slotLoad[b]! ||
      a - b,
  );
  for (const unit of units) {
    if (board.freeBytes(worker) >= 0) return;
    board.remove(unit, worker);
  }
}

/** First replica of a unit; where there is no room, in the place of another unit's second one. */
function cover(board: SlotBoard, unit: number, unloaded: boolean): void {
  if (placeBest(board, unit, unloaded)) return;
  const need = board.bytesOf(unit);
  const byFullness = board.workers.map((_, worker) => worker).sort((a, b) => board.fullness(a) - board.fullness(b));
  for (const worker of byFullness) {
    if (!board.gives(worker)) continue;
    for (const other of board.unitsOf[worker]!) {
      if (board.holders[other]!.length > 1 && board.freeBytes(worker) + board.bytesOf(other) >= need) {
        board.remove(other, worker);
        board.place(unit, worker);
        return;
      }
    }
  }
}

/**
 * Places one replica where it stands best and costs least. False when no worker can take it. Where nothing is loaded yet, slots
 * go out evenly by their number, too, each to the worker with the least load of the layer.
 */
export function placeBest(board: SlotBoard, unit: number, unloaded = false): boolean {
  const m = board.layerOf[unit]!;
  const load = board.slotLoad[unit]!;
  let best: Candidate | null = null;
  for (let worker = 0; worker < board.workers.length; worker++) {
    const cost = unloaded
      ? (board.loadInLayer(m, worker) + load) / board.fairShare[worker]!
      : board.costOfAdding(m, worker, load);
    if (best !== null && best.drawback === 0 && !isBetter(board, unit, worker, cost, best)) continue;
    if (!board.fits(unit, worker)) continue;
    const drawback = drawbackOf(board, unit, worker, unloaded);
    if (best !== null && drawback > best.drawback) continue;
    if (best !== null && drawback === best.drawback && !isBetter(board, unit, worker, cost, best)) continue;
    const neighbour = board.hasNeighbour(unit, worker, -1);
    best = { worker, drawback, cost, neighbour, fullness: board.fullness(worker) };
  }
  if (best === null) return false;
  board.place(unit, best.worker);
  return true;
}

interface Candidate {
  readonly worker: number;
  /** See drawbackOf. */
  readonly drawback: number;
  readonly cost: number;
  /** Whether another replica is on its node. */
  readonly neighbour: boolean;
  readonly fullness: number;
}

/** Whether the worker costs less than the best one or, where it costs the same, stands apart or is less full in all. */
function isBetter(board: SlotBoard, unit: number, worker: number, cost: number, best: Candidate): boolean {
  if (cost !== best.cost) return cost < best.cost;
  const fuller = board.fullness(worker) >= best.fullness;
  if (fuller && !best.neighbour) return false;
  const neighbour = board.hasNeighbour(unit, worker, -1);
  return neighbour === best.neighbour ? !fuller : best.neighbour;
}

/** What speaks against a worker, the worst first: overload, conflicts, many slots of the layer. */
function drawbackOf(board: SlotBoard, unit: number, worker: number, unloaded: boolean): number {
  const m = board.layerOf[unit]!;
  if (board.fullness(worker, board.slotLoad[unit]) > spreadLimit) return 8;
  const many = unloaded ? board.hasShare(m, worker, 1) : board.crowded(m, worker);
  return 2 * board.conflicts(unit, worker, -1) + (many ? 1 : 0);
}

/** When only workers that hold the unit have room: moves another unit there, and takes its place. */
function placeBySwap(board: SlotBoard, unit: number): boolean {
  const need = board.bytesOf(unit);
  for (let roomy = 0; roomy < board.workers.length; roomy++) {
    if (board.freeBytes(roomy) < need) continue;
    for (let worker = 0; worker < board.workers.length; worker++) {
      if (board.holds(unit, worker) || !board.gives(worker)) continue;
      for (const other of board.unitsOf[worker]!) {
        if (!board.fits(other, roomy) || board.freeBytes(worker) + board.bytesOf(other) < need) continue;
        board.move(other, worker, roomy);
        board.place(unit, worker);
        return true;
      }
    }
  }
  return false;
}

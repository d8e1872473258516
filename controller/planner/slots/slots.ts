// Places the slots of routed experts on a pool of workers, keeping what the plan before had where it can:
//   1. keep the slots that may stay; 2. drop replicas beyond the number wanted; 3. empty workers that shrank;
//   4. give every unit its first replica, heaviest first; 5. then the others; 6. spread over nodes and balance.
import { rebalance } from './rebalance.ts';
import { type Holders, SlotBoard, type SlotLayer, type SlotWorker } from './slot-board.ts';

/** A worker takes replicas for the sake of spreading until it has this many times its fair share of the load. */
const spreadLimit = 2;

/**
 * Places all slots, deterministically. `kept` says where they were before, by unit as SlotBoard numbers them. A unit that
 * finds no room at all is left without a holder, one that finds too little with fewer than wanted.
 */
export function placeSlots(workers: readonly SlotWorker[], layers: readonly SlotLayer[], kept: Holders): SlotBoard {
  const board = new SlotBoard(workers, layers);
  for (let unit = 0; unit < board.unitCount; unit++) {
    for (const worker of [...(kept[unit] ?? [])].sort((a, b) => a - b)) board.place(unit, worker);
  }
  for (let unit = 0; unit < board.unitCount; unit++) dropSurplus(board, unit);
  for (let worker = 0; worker < board.workers.length; worker++) shrink(board, worker);
  const short = unitsShort(board);
  for (const unit of short) if (board.holders[unit]!.length === 0) cover(board, unit);
  for (const unit of short) {
    while (board.holders[unit]!.length > 0 && board.holders[unit]!.length < board.wanted[unit]!) {
      if (!placeBest(board, unit) && !placeBySwap(board, unit)) break;
    }
  }
  rebalance(board, spreadLimit);
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
function dropSurplus(board: SlotBoard, unit: number): void {
  while (board.holders[unit]!.length > board.wanted[unit]!) {
    const [first] = [...board.holders[unit]!].sort(
      (a, b) =>
        board.conflicts(unit, b, b) - board.conflicts(unit, a, a) || board.fullness(b) - board.fullness(a) || b - a,
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
function cover(board: SlotBoard, unit: number): void {
  if (placeBest(board, unit)) return;
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

/** Places one replica where it conflicts least and costs least. False when no worker can take it. */
function placeBest(board: SlotBoard, unit: number): boolean {
  const m = board.layerOf[unit]!;
  const load = board.slotLoad[unit]!;
  let best = -1;
  let bestConflicts = 0;
  let bestCost = 0;
  for (let worker = 0; worker < board.workers.length; worker++) {
    if (!board.fits(unit, worker)) continue;
    const overloaded = board.fullness(worker, load) > spreadLimit;
    const conflicts = overloaded ? 4 : board.conflicts(unit, worker, -1);
    if (best >= 0 && conflicts > bestConflicts) continue;
    const cost = board.costOfAdding(m, worker, load);
    if (best < 0 || conflicts < bestConflicts || cost < bestCost) {
      best = worker;
      bestConflicts = conflicts;
      bestCost = cost;
    }
  }
  if (best < 0) return false;
  board.place(unit, best);
  return true;
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

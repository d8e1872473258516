// Moves slots, one at a time, while a worker has clearly more or less than its fair share of the load.
//
// Every move lowers the board's cost, so it ends; nothing moves while all are within the tolerance, or when a move would do
// little more than change places, so small changes move little. A move needs room at its target while the slot still is at its source, and a swap needs it at both:
// what is planned can be carried out by loading first and freeing afterwards, move by move.
import type { SlotBoard } from './slot-board.ts';

/** Load that a worker may have above or below its fair share of all load, as a fraction. */
const tolerance = 0.1;
/** The same within a layer, where slots are few and a worker's load comes in large pieces. */
const layerTolerance = 0.25;
/** A swap must shift at least this fraction of a worker's fair share of the layer's load: it loads two slots, not one. */
const swapGain = 0.2;
const epsilon = 1e-9;

interface Move {
  readonly unit: number;
  readonly from: number;
  readonly to: number;
  /** Unit that comes back in exchange, or -1. */
  readonly back: number;
  readonly gain: number;
}

/** Resolves conflicts where it can, then balances layers and totals. `spreadLimit` as in placing. */
export function rebalance(board: SlotBoard, spreadLimit: number): void {
  if (board.workers.length < 2) return;
  if (board.nodeCount > 1 || board.layers.some((layer) => layer.slices > 1)) resolveConflicts(board, spreadLimit);
  for (let moved = true; moved; ) {
    moved = false;
    for (let m = 0; m < board.layers.length; m++) moved = balanceLayer(board, m) || moved;
    moved = balanceTotals(board) || moved;
  }
}

function resolveConflicts(board: SlotBoard, spreadLimit: number): void {
  for (let unit = 0; unit < board.unitCount; unit++) {
    for (const from of [...board.holders[unit]!].sort((a, b) => a - b)) {
      const now = board.conflicts(unit, from, from);
      if (now === 0 || !board.gives(from)) continue;
      const to = leastConflicting(board, unit, from, now, spreadLimit);
      if (to >= 0) board.move(unit, from, to);
    }
  }
}

function leastConflicting(board: SlotBoard, unit: number, from: number, now: number, spreadLimit: number): number {
  const load = board.slotLoad[unit]!;
  let best = -1;
  let bestConflicts = now;
  let bestCost = 0;
  for (let to = 0; to < board.workers.length; to++) {
    if (!board.fits(unit, to) || board.fullness(to, load) > spreadLimit) continue;
    const conflicts = board.conflicts(unit, to, from);
    if (conflicts > bestConflicts || conflicts === now) continue;
    const cost = board.costOfAdding(board.layerOf[unit]!, to, load);
    if (conflicts < bestConflicts || cost < bestCost) {
      best = to;
      bestConflicts = conflicts;
      bestCost = cost;
    }
  }
  return best;
}

/** Relieves workers that have more than their share of the layer, the fullest first. */
function balanceLayer(board: SlotBoard, m: number): boolean {
  let moved = false;
  for (let again = true; again; ) {
    again = false;
    const fullness = board.workers.map((_, worker) => board.layerFullness(m, worker));
    const over = fullness.flatMap((value, worker) => (value > 1 + layerTolerance ? [worker] : []));
    for (const from of over.sort((a, b) => fullness[b]! - fullness[a]! || a - b)) {
      const units = unitsInLayer(board, m, from);
      const move = bestLayerMove(board, m, units, from) ?? bestSwap(board, m, units, from);
      if (move === null) continue;
      apply(board, move);
      again = true;
      break;
    }
    moved ||= again;
  }
  return moved;
}

/** Fills workers that have less than their share of all load, then relieves those that have more. */
function balanceTotals(board: SlotBoard): boolean {
  let moved = false;
  for (let again = true; again; ) {
    again = false;
    const order = board.workers
      .map((_, worker) => worker)
      .sort((a, b) => board.fullness(b) - board.fullness(a) || a - b);
    for (const to of order.toReversed()) {
      if (board.fullness(to) >= 1 - tolerance) break;
      if (fill(board, to, order)) again = true;
    }
    for (const from of order) {
      if (board.fullness(from) <= 1 + tolerance) break;
      const move = bestMove([...board.unitsOf[from]!], from, board, levelsTotal);
      if (move === null) continue;
      apply(board, move);
      again = true;
    }
    moved ||= again;
  }
  return moved;
}

/** Brings one slot to an underloaded worker, from the fullest worker that has one to give. */
function fill(board: SlotBoard, to: number, order: readonly number[]): boolean {
  for (const from of order) {
    if (board.fullness(from) <= board.fullness(to)) return false;
    let best: Move | null = null;
    for (const unit of board.unitsOf[from]!) best = better(best, moveTo(board, unit, from, to, levelsTotal));
    if (best === null) continue;
    apply(board, best);
    return true;
  }
  return false;
}

/** A worker of which nothing can go anywhere is passed by: where slots are few, most are like that. */
function bestLayerMove(board: SlotBoard, m: number, units: readonly number[], from: number): Move | null {
  const light = units.filter((unit) => {
    const load = board.slotLoad[unit]!;
    return load / board.largestShare <= (board.loadInLayer(m, from) - load / 2) / board.fairShare[from]!;
  });
  return bestMove(light, from, board, levelsLayer);
}

/** Whether a move leaves the fuller of two workers clearly less full: by half of what the slot is to it, at least. */
type Levels = (board: SlotBoard, m: number, load: number, from: number, to: number) => boolean;

const levelsLayer: Levels = (board, m, load, from, to) =>
  (board.loadInLayer(m, to) + load) / board.fairShare[to]! <=
  (board.loadInLayer(m, from) - load / 2) / board.fairShare[from]!;

const levelsTotal: Levels = (board, _m, load, from, to) =>
  (board.totalLoad[to]! + load) / board.fairShare[to]! <= (board.totalLoad[from]! - load / 2) / board.fairShare[from]!;

function bestMove(units: readonly number[], from: number, board: SlotBoard, levels: Levels): Move | null {
  let best: Move | null = null;
  for (const unit of units) {
    for (let to = 0; to < board.workers.length; to++) best = better(best, moveTo(board, unit, from, to, levels));
  }
  return best;
}

function moveTo(board: SlotBoard, unit: number, from: number, to: number, levels: Levels): Move | null {
  const m = board.layerOf[unit]!;
  const load = board.slotLoad[unit]!;
  if (to === from || !board.gives(from) || !levels(board, m, load, from, to)) return null;
  const gain = -board.costOfAdding(m, from, -load) - board.costOfAdding(m, to, load);
  if (gain <= epsilon * load || !board.fits(unit, to)) return null;
  if (board.conflicts(unit, to, from) > board.conflicts(unit, from, from)) return null;
  return { unit, from, to, back: -1, gain };
}

/** Exchanges a slot for a lighter one of the same layer, where there is no room for more slots. */
function bestSwap(board: SlotBoard, m: number, units: readonly number[], from: number): Move | null {
  let best: Move | null = null;
  const leastShift = swapGain * board.fairShare[from]! * board.layerMean[m]!;
  if (!board.gives(from) || board.freeBytes(from) < board.layers[m]!.sliceBytes) return null;
  // A target ends with the slot's load at least: it holds the lighter one now.
  const most = (board.largestShare * (board.loadInLayer(m, from) - leastShift / 2)) / board.fairShare[from]!;
  const light = units.filter((unit) => board.slotLoad[unit]! <= most);
  if (light.length === 0) return null;
  for (let back = board.firstUnit[m]!; back < board.firstUnit[m + 1]!; back++) {
    if (board.holds(back, from)) continue;
    for (const to of board.holders[back]!) {
      for (const unit of light) {
        const shift = board.slotLoad[unit]! - board.slotLoad[back]!;
        if (shift < leastShift || !levelsLayer(board, m, shift, from, to) || !board.fits(unit, to)) continue;
        const gain = -board.costOfAdding(m, from, -shift) - board.costOfAdding(m, to, shift);
        if (gain <= epsilon * shift || (best !== null && gain <= best.gain)) continue;
        if (board.conflicts(unit, to, from) > board.conflicts(unit, from, from)) continue;
        if (board.conflicts(back, from, to) > board.conflicts(back, to, to)) continue;
        best = { unit, from, to, back, gain };
      }
    }
  }
  return best;
}

function better(best: Move | null, move: Move | null): Move | null {
  if (best === null || move === null) return best ?? move;
  return move.gain > best.gain ? move : best;
}

function apply(board: SlotBoard, move: Move): void {
  board.move(move.unit, move.from, move.to);
  if (move.back >= 0) board.move(move.back, move.to, move.from);
}

function unitsInLayer(board: SlotBoard, m: number, worker: number): number[] {
  return [...board.unitsOf[worker]!].filter((unit) => board.layerOf[unit] === m).sort((a, b) => a - b);
}

// Spreads replicas over nodes, then evens layers and totals out: as far as that goes where nothing is loaded yet, and else
// only where a worker has clearly more or less than its fair share, so that small changes move little.
import { type Effort, evenOut } from './even-out.ts';
import type { SlotBoard } from './slot-board.ts';

/** Load that a worker may have above or below its fair share of all load, as a fraction. */
const tolerance = 0.1;
/** Where nothing is loaded, slots cost nothing to move. */
const fresh: Effort = { enough: 1 + 1e-5, leastGain: 1e-6, leastPart: 0, unloaded: true };
/** Where slots are loaded: within a layer they are few, and a worker's load comes in large pieces. */
const settled: Effort = { enough: 1.25, leastGain: 0.1, leastPart: 0.5, unloaded: false };
const epsilon = 1e-9;

interface Move {
  readonly unit: number;
  readonly from: number;
  readonly to: number;
  readonly gain: number;
}

/** Resolves conflicts where it can, then balances layers and totals. `spreadLimit` as in placing; `unloaded`: see Effort. */
export function rebalance(board: SlotBoard, spreadLimit: number, unloaded: boolean): void {
  if (board.workers.length < 2) return;
  if (board.nodeCount > 1 || board.layers.some((layer) => layer.slices > 1)) resolveConflicts(board, spreadLimit);
  const effort = unloaded ? fresh : settled;
  for (let moved = true; moved; ) {
    for (let m = 0; m < board.layers.length; m++) evenOut(board, m, effort);
    moved = balanceTotals(board, effort);
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

/**
 * Fills workers that have less than their share of all load, then relieves those that have more. No layer waits longer for it,
 * and no worker comes so close to the busiest one of a layer that evening out would undo it.
 */
function balanceTotals(board: SlotBoard, { enough, leastGain }: Effort): boolean {
  let moved = false;
  const limits = board.layers.map((_, m) => Math.max(enough, board.layerFullness(m, board.busiest(m)) - leastGain));
  for (let again = true; again; ) {
    again = false;
    const order = board.workers
      .map((_, worker) => worker)
      .sort((a, b) => board.fullness(b) - board.fullness(a) || a - b);
    for (const to of order.toReversed()) {
      if (board.fullness(to) >= 1 - tolerance) break;
      if (fill(board, to, order, limits)) again = true;
    }
    for (const from of order) {
      if (board.fullness(from) <= 1 + tolerance) break;
      const move = bestMove(board, from, limits);
      if (move === null) continue;
      board.move(move.unit, move.from, move.to);
      again = true;
    }
    moved ||= again;
  }
  return moved;
}

/** Brings one slot to an underloaded worker, from the fullest worker that has one to give. */
function fill(board: SlotBoard, to: number, order: readonly number[], limits: readonly number[]): boolean {
  for (const from of order) {
    if (board.fullness(from) <= board.fullness(to)) return false;
    let best: Move | null = null;
    for (const unit of board.unitsOf[from]!) best = better(best, moveTo(board, unit, from, to, limits));
    if (best === null) continue;
    board.move(best.unit, best.from, best.to);
    return true;
  }
  return false;
}

function bestMove(board: SlotBoard, from: number, limits: readonly number[]): Move | null {
  let best: Move | null = null;
  for (const unit of board.unitsOf[from]!) {
    for (let to = 0; to < board.workers.length; to++) best = better(best, moveTo(board, unit, from, to, limits));
  }
  return best;
}

/** A move that leaves the fuller of two workers clearly less full: by half of what the slot is to it, at least. */
function moveTo(board: SlotBoard, unit: number, from: number, to: number, limits: readonly number[]): Move | null {
  const m = board.layerOf[unit]!;
  const load = board.slotLoad[unit]!;
  const share = board.fairShare[to]!;
  if (to === from || !board.gives(from)) return null;
  if ((board.totalLoad[to]! + load) / share > (board.totalLoad[from]! - load / 2) / board.fairShare[from]!) return null;
  if (board.loadInLayer(m, to) + load > limits[m]! * share * board.layerMean[m]!) return null;
  const gain = -board.costOfAdding(m, from, -load) - board.costOfAdding(m, to, load);
  if (gain <= epsilon * load || !board.fits(unit, to)) return null;
  if (board.conflicts(unit, to, from) > board.conflicts(unit, from, from)) return null;
  return { unit, from, to, gain };
}

function better(best: Move | null, move: Move | null): Move | null {
  if (best === null || move === null) return best ?? move;
  return move.gain > best.gain ? move : best;
}

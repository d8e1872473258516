// Takes load off the worker that a layer waits for, one move or swap at a time.
//
// Every change leaves both workers less full than the busiest was, so it ends. Where something is loaded already, a move needs
// room at its target while the slot still is at its source, and a swap needs it at both: what is planned can be carried out
// by loading first and freeing afterwards.
import type { SlotBoard } from './slot-board.ts';

/** How much is done for an even layer. Fullness is a worker's load relative to its fair share; 1 is even. */
export interface Effort {
  /** Fullness of the busiest worker that is good enough. */
  readonly enough: number;
  /** What every slot to load must take off the busiest worker's fullness. */
  readonly leastGain: number;
  /** The same as a part of the load that goes elsewhere: near 0, changing places counts as a gain. */
  readonly leastPart: number;
  /** Nothing is loaded yet: swaps need no room beside what they swap. */
  readonly unloaded: boolean;
}

interface Relief {
  readonly unit: number;
  readonly to: number;
  /** Unit that comes back in exchange, or -1. */
  readonly back: number;
  /** By which the busiest worker gets less full, for each slot to load. */
  readonly gain: number;
  /** Of the target: what decides among equal gains. */
  readonly cost: number;
}

/** Evens a layer out with at most `budget` slots to load; how many there are. */
export function evenOut(board: SlotBoard, m: number, effort: Effort, budget = Number.POSITIVE_INFINITY): number {
  const enough = Math.max(effort.enough, board.leastFullness(m) + effort.leastGain);
  let loads = 0;
  while (loads < budget) {
    const from = board.busiest(m);
    if (board.layerFullness(m, from) <= enough || !board.gives(from)) break;
    const units = [...board.unitsOf[from]!].filter((unit) => board.layerOf[unit] === m).sort((a, b) => a - b);
    const relief =
      bestRelief(board, m, from, units, effort, budget - loads > 1) ??
      (effort.unloaded ? exchangeWithLayers(board, m, from, units, effort) : null);
    if (relief === null) break;
    board.move(relief.unit, from, relief.to);
    if (relief.back >= 0) board.move(relief.back, relief.to, from);
    loads += relief.back >= 0 ? 2 : 1;
  }
  return loads;
}

function bestRelief(
  board: SlotBoard,
  m: number,
  from: number,
  units: readonly number[],
  effort: Effort,
  swaps: boolean,
): Relief | null {
  const move = bestMove(board, m, from, units, effort);
  const swap = swaps ? bestSwap(board, m, from, units, effort) : null;
  if (move === null || swap === null) return move ?? swap;
  return swap.gain > move.gain ? swap : move;
}

function bestMove(board: SlotBoard, m: number, from: number, units: readonly number[], effort: Effort): Relief | null {
  let best: Relief | null = null;
  for (const unit of units) {
    const now = board.conflicts(unit, from, from);
    const load = board.slotLoad[unit]!;
    for (let to = 0; to < board.workers.length; to++) {
      const gain = gainOf(board, m, from, to, load, effort);
      if (to === from || gain < effort.leastGain || (best !== null && gain < best.gain)) continue;
      const cost = board.costOfAdding(m, to, load);
      if (best !== null && gain === best.gain && cost >= best.cost) continue;
      if (!board.fits(unit, to) || board.crowded(m, to) || board.conflicts(unit, to, from) > now) continue;
      best = { unit, to, back: -1, gain, cost };
    }
  }
  return best;
}

/** Exchanges a slot for a lighter one of the same layer. */
function bestSwap(board: SlotBoard, m: number, from: number, units: readonly number[], effort: Effort): Relief | null {
  let best: Relief | null = null;
  if (!effort.unloaded && board.freeBytes(from) < board.layers[m]!.sliceBytes) return null;
  for (let back = board.firstUnit[m]!; back < board.firstUnit[m + 1]!; back++) {
    if (board.holds(back, from)) continue;
    for (const to of board.holders[back]!) {
      for (const unit of units) {
        const shift = board.slotLoad[unit]! - board.slotLoad[back]!;
        if (shift <= 0) continue;
        const gain = gainOf(board, m, from, to, shift, effort) / 2;
        if (gain < effort.leastGain || (best !== null && gain <= best.gain)) continue;
        if (board.gives(to) && mayTake(board, unit, from, to, effort) && noWorse(board, back, to, from)) {
          best = { unit, to, back, gain, cost: 0 };
        }
      }
    }
  }
  return best;
}

/**
 * Gives a slot to a worker that has no room, for one of another layer that does not wait for it: where memory is full, the
 * slots of a layer are not as many on every worker.
 */
function exchangeWithLayers(
  board: SlotBoard,
  m: number,
  from: number,
  units: readonly number[],
  effort: Effort,
): Relief | null {
  const targets = board.workers
    .map((_, to) => to)
    .filter((to) => to !== from && board.gives(to))
    .sort((a, b) => board.layerFullness(m, a) - board.layerFullness(m, b) || a - b);
  for (const unit of units) {
    for (const to of targets) {
      const gain = gainOf(board, m, from, to, board.slotLoad[unit]!, effort) / 2;
      if (gain < effort.leastGain) break;
      if (board.crowded(m, to) || !mayTake(board, unit, from, to, effort)) continue;
      const back = spareOf(board, unit, to, from, effort);
      if (back >= 0) return { unit, to, back, gain, cost: 0 };
    }
  }
  return null;
}

/** The lightest slot of the worker that can take the unit's place on the other one without making its own layer wait; or -1. */
function spareOf(board: SlotBoard, unit: number, worker: number, other: number, { enough, leastGain }: Effort): number {
  let best = -1;
  const need = board.bytesOf(unit);
  for (const back of board.unitsOf[worker]!) {
    const layer = board.layerOf[back]!;
    if (layer === board.layerOf[unit] || board.holds(back, other) || board.crowded(layer, other)) continue;
    if (best >= 0 && board.slotLoad[back]! >= board.slotLoad[best]!) continue;
    if (board.freeBytes(worker) + board.bytesOf(back) < need || board.freeBytes(other) + need < board.bytesOf(back))
      continue;
    const limit = Math.max(enough, board.layerFullness(layer, board.busiest(layer)) - leastGain);
    const load = board.loadInLayer(layer, other) + board.slotLoad[back]!;
    if (load > limit * board.fairShare[other]! * board.layerMean[layer]!) continue;
    if (noWorse(board, back, worker, other)) best = back;
  }
  return best;
}

function mayTake(board: SlotBoard, unit: number, from: number, to: number, { unloaded }: Effort): boolean {
  const room = unloaded ? !board.holds(unit, to) : board.fits(unit, to);
  return room && noWorse(board, unit, from, to);
}

function noWorse(board: SlotBoard, unit: number, from: number, to: number): boolean {
  return board.conflicts(unit, to, from) <= board.conflicts(unit, from, from);
}

/** By which the fuller of two workers gets less full when `shift` of load goes from it to the other; 0 when that is too little. */
function gainOf(board: SlotBoard, m: number, from: number, to: number, shift: number, { leastPart }: Effort): number {
  const after = Math.max(
    (board.loadInLayer(m, from) - shift) / board.fairShare[from]!,
    (board.loadInLayer(m, to) + shift) / board.fairShare[to]!,
  );
  const gain = board.layerFullness(m, from) - after / board.layerMean[m]!;
  return gain * board.fairShare[from]! * board.layerMean[m]! < leastPart * shift ? 0 : gain;
}

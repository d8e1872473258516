// Follows the load: in layers that wait for a worker that has too much, extra replicas go from experts that became idle to
// those that became busy, and slots move. A layer changes as a whole or not at all: when the change gains too little, or costs
// more than may be loaded, what is there stays.
import type { RebalanceBudget } from '../input/input.ts';
import { type Effort, evenOut } from './even-out.ts';
import type { SlotBoard } from './slot-board.ts';
import { dropSurplus, placeBest } from './slots.ts';

/** Every slot to load costs a worker bandwidth that it also computes with. */
const effort: Effort = { enough: 1.02, leastGain: 0.01, leastPart: 0, unloaded: false };
/** By which the busiest worker must get less full, relative to its fair share, for a layer to be touched at all. */
const leastGain = 0.03;

/** `counts`: replicas that the load asks for, [layers][experts]. The slots to load. */
export function followLoad(
  board: SlotBoard,
  counts: readonly (readonly number[])[],
  { layers, loads: budget }: RebalanceBudget,
): number {
  board.keepRoom();
  const fullness = (m: number) => board.layerFullness(m, board.busiest(m));
  const order = board.layers
    .flatMap(({ layer }, m) => (layers.includes(layer) ? [{ m, before: fullness(m) }] : []))
    .sort((a, b) => b.before - a.before || a.m - b.m);
  let loads = 0;
  for (const { m, before } of order) {
    const found = Array.from({ length: board.firstUnit[m + 1]! - board.firstUnit[m]! }, (_, i) => {
      const unit = board.firstUnit[m]! + i;
      return { unit, wanted: board.wanted[unit]!, holders: [...board.holders[unit]!] };
    });
    recount(board, m, counts[m]!);
    const left = budget - loads - loadsOf(board, m);
    if (left > 0) evenOut(board, m, effort, left);
    const own = loadsOf(board, m);
    if (loads + own <= budget && before - fullness(m) >= leastGain) loads += own;
    else for (const { unit, wanted, holders } of found) restore(board, unit, wanted, holders);
  }
  return loads;
}

/** Gives replicas up first: what is freed may be what others need to be apart. */
function recount(board: SlotBoard, m: number, counts: readonly number[]): void {
  const { slices } = board.layers[m]!;
  const wantedOf = (unit: number) => counts[Math.floor((unit - board.firstUnit[m]!) / slices)]!;
  const grown: number[] = [];
  for (let unit = board.firstUnit[m]!; unit < board.firstUnit[m + 1]!; unit++) {
    const wanted = wantedOf(unit);
    if (wanted > board.wanted[unit]!) grown.push(unit);
    if (wanted >= board.wanted[unit]!) continue;
    board.want(unit, wanted);
    dropSurplus(board, unit);
  }
  for (const unit of grown) board.want(unit, wantedOf(unit));
  for (const unit of grown.sort((a, b) => board.slotLoad[b]! - board.slotLoad[a]! || a - b)) {
    while (board.holders[unit]!.length < board.wanted[unit]! && placeBest(board, unit));
    // Without room for it, an extra replica is not wanted.
    if (board.holders[unit]!.length < board.wanted[unit]!) board.want(unit, board.holders[unit]!.length);
  }
}

function loadsOf(board: SlotBoard, m: number): number {
  let loads = 0;
  for (let unit = board.firstUnit[m]!; unit < board.firstUnit[m + 1]!; unit++) {
    for (const worker of board.holders[unit]!) if (!board.wasLoaded(unit, worker)) loads += 1;
  }
  return loads;
}

function restore(board: SlotBoard, unit: number, wanted: number, holders: readonly number[]): void {
  for (const worker of [...board.holders[unit]!]) board.remove(unit, worker);
  board.want(unit, wanted);
  for (const worker of holders) board.place(unit, worker);
}

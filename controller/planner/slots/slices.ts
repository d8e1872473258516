import { formatBytes } from '../../../platform/process/quantities.ts';
import type { ExpertsFootprint } from '../input/memory.ts';
import { sliceBytes } from './pool.ts';

export interface SliceChoice {
  readonly slices: number;
  /** Why no number of slices will do; null when one does. */
  readonly problem: string | null;
}

/**
 * Slices per expert of a layer: as requested, as before, or the fewest that divide the intermediate dimension evenly and fit
 * into `room`, the bytes that the largest worker has for slots.
 */
export function chooseSlices(
  experts: ExpertsFootprint,
  layer: number,
  requested: number | null,
  room: number,
  before: number | null,
): SliceChoice {
  const fits = (slices: number) => experts.intermediate % slices === 0 && sliceBytes(experts, slices) <= room;
  if (requested !== null) {
    if (experts.intermediate % requested !== 0) {
      return {
        slices: 1,
        problem: `expert-tensor-parallel size ${requested} does not divide the intermediate dimension ${experts.intermediate} of layer ${layer}'s experts`,
      };
    }
    if (!fits(requested)) return { slices: 1, problem: tooLarge(experts, layer, requested, room) };
    return { slices: requested, problem: null };
  }
  if (before !== null && fits(before)) return { slices: before, problem: null };
  for (let slices = 1; slices <= Math.min(experts.intermediate, 64); slices++) {
    if (fits(slices)) return { slices, problem: null };
  }
  return { slices: 1, problem: tooLarge(experts, layer, 1, room) };
}

function tooLarge(experts: ExpertsFootprint, layer: number, slices: number, room: number): string {
  const what = slices === 1 ? `an expert of layer ${layer}` : `each of ${slices} slices of an expert of layer ${layer}`;
  return `${what} needs ${formatBytes(sliceBytes(experts, slices))} on one worker; the largest room for experts is ${formatBytes(room)}`;
}

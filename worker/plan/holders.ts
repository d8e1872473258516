import type { PlacementPlan } from '../../proto/messages.ts';
import type { HeldSlices, Holder } from './expert-routes.ts';
import { slotIndex } from './plan-slots.ts';

/** What a worker says it holds, and its number as a dispatch target. */
export interface Claim {
  readonly target: number;
  readonly workerId: string;
  readonly held: readonly HeldSlices[];
}

/**
 * Divides what workers say they hold into what a plan wants there and spare slices. Claims and plans are objects that do
 * not change, so only new ones cost anything: routes are refreshed far more often than slots move.
 */
export class Holders {
  #plans: readonly PlacementPlan[] = [];
  #known = new WeakMap<readonly HeldSlices[], Holder>();
  #last: readonly Holder[] = [];

  /** Holders under these plans, those in force or on their way; the same array as before when nothing has changed. */
  of(plans: readonly PlacementPlan[], claims: readonly Claim[]): readonly Holder[] {
    if (!sameItems(plans, this.#plans)) {
      this.#plans = plans;
      this.#known = new WeakMap();
    }
    const holders = claims.map((claim) => this.#holder(claim));
    if (!sameItems(holders, this.#last)) this.#last = holders;
    return this.#last;
  }

  #holder({ target, workerId, held: all }: Claim): Holder {
    const known = this.#known.get(all);
    if (known?.target === target) return known;
    const held: HeldSlices[] = [];
    const spare: HeldSlices[] = [];
    for (const { layer, slices, sliceIds } of all) {
      const wanted = this.#plans.map((plan) => slotIndex(plan).sliceIds(workerId, layer, slices));
      const isWanted = (sliceId: number): boolean => wanted.some((ids) => ids.has(sliceId));
      held.push({ layer, slices, sliceIds: sliceIds.filter(isWanted) });
      spare.push({ layer, slices, sliceIds: sliceIds.filter((sliceId) => !isWanted(sliceId)) });
    }
    const holder = { target, held, spare };
    this.#known.set(all, holder);
    return holder;
  }
}

function sameItems<Item>(left: readonly Item[], right: readonly Item[]): boolean {
  return left.length === right.length && left.every((item, i) => item === right[i]);
}

import type { PlacementPlan } from '../../../proto/messages.ts';
import type { RebalanceBudget } from '../../planner/input/input.ts';
import type { ExpertLoadBook } from './expert-load.ts';
import { MoveBudget } from './move-budget.ts';
import { overloadedLayers } from './overloaded-layers.ts';

export interface RebalanceTriggerOptions {
  readonly mode: 'auto' | 'off';
  readonly load: Pick<ExpertLoadBook, 'rates' | 'rowsSeen'>;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

/** Milliseconds between looks: reports come no more often. */
const LOOK_MS = 1_000;
/** Milliseconds for which a layer must be out of balance without a break. */
const SUSTAINED_MS = 4_000;
/** Milliseconds between plans that follow the load, and after one that would have gained nothing. */
const PAUSE_MS = 5_000;
/** Slots that may be loaded in a minute: this part of all, and no fewer than a small cluster needs. */
const PART_PER_MINUTE = 0.1;
const LEAST_PER_MINUTE = 64;

/**
 * Decides when load is a reason for a plan: layers have been out of balance for a while, by more than chance explains, the last
 * such plan is a while ago, and the minute's budget of slots is not used up.
 */
export class RebalanceTrigger {
  readonly #options: RebalanceTriggerOptions;
  readonly #budget: MoveBudget;
  /** Since when each layer is out of balance. */
  readonly #since = new Map<number, number>();
  #pausedUntil = Number.NEGATIVE_INFINITY;
  #lookedAt = Number.NEGATIVE_INFINITY;

  constructor(options: RebalanceTriggerOptions) {
    this.#options = options;
    this.#budget = new MoveBudget(options.now);
  }

  /** What a plan after this one, which is in force everywhere, may do for the sake of load; null: there is no reason for one. */
  look(plan: PlacementPlan): RebalanceBudget | null {
    const { mode, load, now } = this.#options;
    if (mode === 'off' || now() - this.#lookedAt < LOOK_MS) return null;
    this.#lookedAt = now();
    const over = new Set(overloadedLayers(plan, load).map(({ layer }) => layer));
    for (const layer of this.#since.keys()) if (!over.has(layer)) this.#since.delete(layer);
    for (const layer of over) if (!this.#since.has(layer)) this.#since.set(layer, now());
    if (now() < this.#pausedUntil) return null;
    const layers = [...this.#since].filter(([, since]) => now() - since >= SUSTAINED_MS).map(([layer]) => layer);
    const loads = this.#budget.left(slotsPerMinute(plan));
    return layers.length === 0 || loads === 0 ? null : { layers: layers.sort((a, b) => a - b), loads };
  }

  /** A plan was made that loads so many slots for the sake of load; 0: there was nothing to gain. */
  planned(loads: number): void {
    this.#budget.spend(loads);
    this.#pausedUntil = this.#options.now() + PAUSE_MS;
  }
}

/** Slots that may be loaded in a minute for the sake of load. */
export function slotsPerMinute(plan: PlacementPlan): number {
  const slots = plan.experts.reduce((sum, { expert }) => sum + expert.length, 0);
  return Math.max(LEAST_PER_MINUTE, Math.floor(slots * PART_PER_MINUTE));
}

import type { PlacementPlan } from '../../../proto/messages.ts';
import type { PlanResult, RebalanceBudget } from '../../planner/input/input.ts';
import type { EventLog } from '../events/events.ts';
import type { ExpertLoadBook } from '../load/expert-load.ts';
import { rebalanceText } from '../load/rebalance-text.ts';
import { RebalanceTrigger } from '../load/rebalance-trigger.ts';
import type { PlanningRecord } from './planning-record.ts';

export interface RebalancerOptions {
  /** Whether load alone is a reason for a plan. */
  readonly rebalance: 'auto' | 'off';
  readonly load: ExpertLoadBook;
  readonly events: EventLog;
  readonly record: PlanningRecord;
  /** The plan that the cluster as it is would get. */
  readonly plan: (budget: RebalanceBudget) => PlanResult;
  /** The plan as it was written; null when something newer stands there. */
  readonly publish: (next: PlacementPlan, reason: string) => Promise<PlacementPlan | null>;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** Milliseconds since the epoch. */
  readonly wallClock: () => number;
}

/** What the leader does about load: experts that became busy get replicas and room, in plans like any other. */
export class Rebalancer {
  readonly #options: RebalancerOptions;
  readonly #trigger: RebalanceTrigger;
  #moves = 0;

  constructor(options: RebalancerOptions) {
    this.#options = options;
    this.#trigger = new RebalanceTrigger({ ...options, mode: options.rebalance });
  }

  /** Slots that its plans loaded since the start. */
  get moves(): number {
    return this.#moves;
  }

  /** Looks at a plan that is in force everywhere and was made for all that is there and asked now. */
  async look(target: PlacementPlan): Promise<void> {
    const { load, events, record, plan, publish, wallClock } = this.#options;
    const budget = this.#trigger.look(target);
    if (budget === null) return;
    const result = plan(budget);
    if (result.kind === 'infeasible' || result.plan === target) return this.#trigger.planned(0);
    const { reason, details, loads } = rebalanceText(target, result.plan, load.rates() ?? [], budget.layers);
    this.#trigger.planned(loads);
    const written = await publish(result.plan, reason);
    if (written === null) return;
    const { epoch } = written;
    this.#moves += loads;
    record.set({ rebalanced: { atMs: wallClock(), epoch, loads, reason: details } });
    const message = `plan ${epoch} ${details}`;
    events.publish({ code: 'EXPERTS_REBALANCED', severity: 'info', subject: `plan/${epoch}`, message });
  }
}

import type { Bucket } from '../../../platform/bus/bus.ts';
import { COMMITTED_PLAN, TARGET_PLAN } from '../../../platform/bus/subjects.ts';
import type { ClusterView } from '../../../platform/membership/cluster-view.ts';
import { conclave, encode, type PlacementPlan } from '../../../proto/messages.ts';
import type { EventLog } from '../events/events.ts';
import { overtakingPlan } from './epochs.ts';

export interface PlanPublisherOptions {
  readonly view: ClusterView;
  readonly plans: Bucket;
  readonly events: EventLog;
}

/** Writes plans by compare-and-set at the revision that was decided from, and reports what came of it. */
export class PlanPublisher {
  readonly #options: PlanPublisherOptions;

  constructor(options: PlanPublisherOptions) {
    this.#options = options;
  }

  /** Writes a target plan in place of the one at `revision`; false when another stands there. */
  publish(next: PlacementPlan, revision: number): Promise<boolean> {
    return this.#write(TARGET_PLAN, next, revision);
  }

  /** Puts the target plan in force. */
  async commit(target: PlacementPlan): Promise<void> {
    const { view, events } = this.#options;
    if (!(await this.#write(COMMITTED_PLAN, target, view.committedRevision))) return;
    const message = `plan ${target.epoch} is in force: ${target.reason}`;
    events.publish({ code: 'PLAN_COMMITTED', severity: 'info', subject: `plan/${target.epoch}`, message });
  }

  /** Members may follow a plan that nobody here knows of: see epochs.ts. */
  async overtake(term: number): Promise<boolean> {
    const { view, events } = this.#options;
    const plan = overtakingPlan(view, term);
    if (plan === null || !(await this.publish(plan, view.targetRevision))) return false;
    const message = `plan ${view.target?.epoch} is now plan ${plan.epoch}: workers follow a plan that the bus has forgotten`;
    events.publish({ code: 'EPOCH_RAISED', severity: 'warning', subject: `plan/${plan.epoch}`, message });
    return true;
  }

  async #write(key: string, plan: PlacementPlan, revision: number): Promise<boolean> {
    const { plans } = this.#options;
    const value = encode(conclave.PlacementPlan, plan);
    const written = await (revision === 0 ? plans.create(key, value) : plans.update(key, value, revision));
    return written !== null;
  }
}

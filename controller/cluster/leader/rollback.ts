import type { ClusterView } from '../../../platform/membership/cluster-view.ts';
import type { PlacementPlan } from '../../../proto/messages.ts';
import type { EventLog } from '../events/events.ts';
import type { FailingWorkers } from './failing-workers.ts';
import { mayKeep } from './left-out.ts';
import type { PlanPublisher } from './plan-publisher.ts';
import { rollbackPlan } from './rollout.ts';

export interface RollbackOptions {
  readonly view: ClusterView;
  readonly events: EventLog;
  readonly failing: FailingWorkers;
  readonly publisher: PlanPublisher;
  /** Workers that plans may use now. */
  readonly workers: () => readonly { readonly id: string }[];
}

/** What the leader does when a worker cannot carry out the plan that is being rolled out. */
export class Rollback {
  readonly #options: RollbackOptions;
  #failedEpoch = 0;

  constructor(options: RollbackOptions) {
    this.#options = options;
  }

  /**
   * Leaves the worker out, so that the rest goes on, and goes back to the plan in force. Where that is not whole any more
   * there is nothing to go back to: the next plan is made without the worker.
   */
  async fail(target: PlacementPlan, workerId: string, reason: string): Promise<void> {
    const { view, events, failing, publisher, workers } = this.#options;
    const { committed } = view;
    if (this.#failedEpoch === target.epoch) return; // The view does not show yet what was done about it.
    const there = new Set(workers().map(({ id }) => id));
    const whole = committed?.workers.every(({ id }) => there.has(id)) ?? false;
    const back = whole ? committed : null;
    events.publish({ code: 'ROLLOUT_FAILED', severity: 'error', subject: `plan/${target.epoch}`, message: reason });
    failing.leaveOut(workerId, reason, back !== null && mayKeep(back, target, workerId));
    if (back !== null && (await publisher.publish(rollbackPlan(back, target, reason), view.targetRevision))) {
      const message = `went back to plan ${back.epoch}: ${reason}`;
      events.publish({ code: 'ROLLED_BACK', severity: 'warning', subject: `plan/${target.epoch}`, message });
    }
    this.#failedEpoch = target.epoch;
  }
}

import type { ClusterView } from '../../../platform/membership/cluster-view.ts';
import type { PlacementPlan } from '../../../proto/messages.ts';
import type { EventLog } from '../events/events.ts';
import { leftOutText, restrictions, stillLeftOut, withFailure } from './left-out.ts';
import type { Restricted } from './plan-constraints.ts';
import type { PlanningRecord } from './planning-record.ts';

export interface FailingWorkersOptions {
  readonly view: ClusterView;
  readonly record: PlanningRecord;
  readonly events: EventLog;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** Milliseconds since the epoch. */
  readonly wallClock: () => number;
}

/** What the leader does about workers that cannot carry out a plan: see left-out.ts. Every change is an event. */
export class FailingWorkers {
  readonly #options: FailingWorkersOptions;

  constructor(options: FailingWorkersOptions) {
    this.#options = options;
  }

  /** Workers that get nothing, or nothing new, besides what operators ask for. */
  get restricted(): Restricted {
    const { view, record } = this.#options;
    return restrictions(record.state.leftOut, view.workers);
  }

  /** Ids of workers that are being tried again. */
  get retried(): readonly string[] {
    return this.#options.record.state.leftOut.filter(({ retrying }) => retrying).map(({ workerId }) => workerId);
  }

  /** A worker has failed. `keeps`: what the plan in force gives it is not known to be at fault. */
  leaveOut(workerId: string, reason: string, keeps: boolean): void {
    const { view, record, wallClock } = this.#options;
    const startedAtMs = view.workers.get(workerId)?.startedAtMs ?? 0;
    const known = stillLeftOut(record.state.leftOut, view.workers);
    const leftOut = withFailure(known, { workerId, startedAtMs, reason, keeps }, wallClock());
    record.set({ leftOut });
    for (const entry of leftOut.slice(-1)) this.#publish('WORKER_LEFT_OUT', 'warning', workerId, leftOutText(entry));
  }

  /**
   * Looks at the workers of a plan that is in force and not about to change: one may fail at it, as after a restart, or turn
   * out to be well again. `planned`: the plan was made for what is there now.
   */
  look(plan: PlacementPlan, planned: boolean): void {
    const { view, record } = this.#options;
    for (const { id } of plan.workers) {
      const report = view.reports.get(id);
      if (report?.epoch !== plan.epoch || report.startedAtMs !== view.workers.get(id)?.startedAtMs) continue;
      const entry = record.state.leftOut.find(({ workerId }) => workerId === id);
      const tried = entry === undefined || entry.retrying;
      if (report.state === 'WORKER_STATE_FAILED' && tried) {
        this.leaveOut(id, `worker ${id} cannot carry out plan ${plan.epoch}: ${report.error}`, false);
      } else if (report.state === 'WORKER_STATE_READY' && entry !== undefined && (tried || !entry.keeps)) {
        this.#recover(id, `carries out plan ${plan.epoch}`);
      }
    }
    const named = new Set(plan.workers.map(({ id }) => id));
    // A worker that is tried again and gets nothing to do is as good as any.
    for (const id of planned ? this.retried : []) if (!named.has(id)) this.#recover(id, 'may be used again');
  }

  /** Lets plans use workers again whose time to be tried again has come. */
  retry(): void {
    const { view, record, now } = this.#options;
    const { leftOut } = record.state;
    const known = stillLeftOut(leftOut, view.workers);
    const due = new Set(record.due(now()).filter(({ workerId }) => view.workers.has(workerId)));
    if (due.size === 0 && known.length === leftOut.length) return;
    record.set({ leftOut: known.map((entry) => (due.has(entry) ? { ...entry, retrying: true } : entry)) });
    for (const { workerId, failures } of due) {
      const times = `${failures} ${failures === 1 ? 'failure' : 'failures'}`;
      this.#publish('WORKER_RETRIED', 'info', workerId, `${workerId} is tried again after ${times}`);
    }
  }

  #recover(workerId: string, what: string): void {
    const { record } = this.#options;
    record.set({ leftOut: record.state.leftOut.filter((entry) => entry.workerId !== workerId) });
    this.#publish('WORKER_RECOVERED', 'info', workerId, `${workerId} ${what}`);
  }

  #publish(code: string, severity: 'info' | 'warning', workerId: string, message: string): void {
    this.#options.events.publish({ code, severity, subject: `worker/${workerId}`, message });
  }
}

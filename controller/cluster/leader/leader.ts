import { isDeepStrictEqual } from 'node:util';
import type { Bucket } from '../../../platform/bus/bus.ts';
import type { ClusterView } from '../../../platform/membership/cluster-view.ts';
import type { ClusterConstraints__Output as ClusterConstraints } from '../../../proto/generated/conclave/v1/ClusterConstraints.ts';
import type { PlanningState__Output as PlanningState } from '../../../proto/generated/conclave/v1/PlanningState.ts';
import type { ModelSpec, PlacementPlan } from '../../../proto/messages.ts';
import { planFittingCache } from '../../planner/fit-cache.ts';
import type { PlanConstraints, PlanInput, PlanResult, RebalanceBudget } from '../../planner/input/input.ts';
import type { EventLog } from '../events/events.ts';
import type { ExpertLoadBook } from '../load/expert-load.ts';
import { planReason } from '../requests/plan-reason.ts';
import type { Roster } from '../roster/roster.ts';
import { UsableWorkers } from '../roster/usable-workers.ts';
import { withChecksums } from './checksums.ts';
import { leastEpoch } from './epochs.ts';
import { FailingWorkers } from './failing-workers.ts';
import { leftOutText, restrictions } from './left-out.ts';
import { OrphanReports } from './orphan-reports.ts';
import { PendingRequests } from './pending-requests.ts';
import { planConstraints, type Restricted } from './plan-constraints.ts';
import { PlanPublisher } from './plan-publisher.ts';
import { PlanningRecord } from './planning-record.ts';
import { Rebalancer } from './rebalancer.ts';
import { restoreForgotten } from './restore.ts';
import { Rollback } from './rollback.ts';
import { rolloutStep } from './rollout.ts';

export interface LeaderOptions {
  readonly spec: ModelSpec;
  readonly weights: PlanInput['weights'];
  /** Layout and defaults from the command line; what operators asked for since comes on top. */
  readonly baseConstraints: PlanConstraints;
  /** The cache may be planned smaller than the constraints say, down to so many blocks, where memory is short. */
  readonly leastKvBlocks: number;
  /** Workers without which the first plan is not made. */
  readonly minWorkers: number;
  /** Milliseconds for which membership must be stable before the first plan. */
  readonly joinSettleMs: number;
  readonly view: ClusterView;
  readonly roster: Pick<Roster, 'mayHold' | 'lostForMs'>;
  readonly plans: Bucket;
  readonly reports: Bucket;
  readonly control: Bucket;
  readonly load: ExpertLoadBook;
  /** Whether load alone is a reason for a plan. */
  readonly rebalance: 'auto' | 'off';
  readonly events: EventLog;
  /** Checksums by slice id that a layer's experts must have; empty when weights are not verified. */
  readonly checksums: (layer: number, slices: number) => Promise<readonly number[]>;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** Milliseconds since the epoch; only shown to people. */
  readonly wallClock: () => number;
  /** Called with each error of the bus; the leader tries again. */
  readonly onError: (what: string, error: unknown) => void;
}

/** Milliseconds between looks when nothing happens. */
const TICK_MS = 250;
/**
 * Milliseconds for which a running cluster is not planned again after this controller took the lead or the bus came back:
 * heartbeats may have expired meanwhile, and those workers are about to announce themselves again.
 */
const HOLD_MS = 3_000;

/**
 * Plans for the cluster while this controller holds the lease: observed state in, one step out, again and again. Every
 * write is a compare-and-set at the revision that was decided from, so a leader that lost its lease without noticing
 * cannot undo what the next one did.
 */
export class Leader {
  readonly #options: LeaderOptions;
  #term: number | null = null;
  #plannedFor: string | null = null;
  /** Epoch of the plan that this leader wrote last; 0 when it wrote none. */
  #publishedEpoch = 0;
  #holdUntil = 0;
  #membersSince = 0;
  #membersSeen = '';
  readonly #usable: UsableWorkers;
  readonly #record: PlanningRecord;
  readonly #failing: FailingWorkers;
  readonly #requests: PendingRequests;
  readonly #publisher: PlanPublisher;
  readonly #rollback: Rollback;
  readonly #rebalancer: Rebalancer;
  /** Workers that were there, and those that were restricted, when the last plan was made. */
  #seen: ReadonlySet<string> = new Set();
  #restricted: ReadonlySet<string> = new Set();
  readonly #orphans = new OrphanReports();
  #busy = false;
  #again = false;
  #timer: NodeJS.Timeout | null = null;

  constructor(options: LeaderOptions) {
    this.#options = options;
    this.#record = new PlanningRecord(options.control);
    this.#failing = new FailingWorkers({ ...options, record: this.#record });
    const { defaultReplicas } = options.baseConstraints;
    this.#requests = new PendingRequests({ ...options, defaultReplicas, record: this.#record });
    this.#usable = new UsableWorkers(options);
    this.#publisher = new PlanPublisher(options);
    this.#rebalancer = new Rebalancer({
      ...{ ...options, record: this.#record },
      plan: (budget) => this.#planNow('load', budget),
      publish: (next, reason) => this.#publish(next, reason),
    });
    this.#rollback = new Rollback({
      ...{ view: options.view, events: options.events, failing: this.#failing, publisher: this.#publisher },
      workers: () => this.#usable.now(),
    });
  }

  /** What it found when it planned last; of no meaning while it does not lead. */
  get planning(): PlanningState {
    return this.#record.state;
  }

  /** What the bus says of members is old for a moment: nothing is to be concluded from who is missing. */
  get holds(): boolean {
    return this.#options.now() < this.#holdUntil;
  }

  /** Expert slots that plans of this leader loaded because of load alone. */
  get expertMoves(): number {
    return this.#rebalancer.moves;
  }

  /** Begins to plan under a term of the lease. */
  lead(term: number): void {
    this.#term = term;
    this.#plannedFor = null;
    this.#record.load(this.#options.view.planning);
    this.busReturned();
    this.#timer ??= setInterval(() => this.wake(), TICK_MS);
    this.wake();
  }

  /** The bus was away: what it says of members is old for a moment. */
  busReturned(): void {
    this.#holdUntil = this.#options.now() + HOLD_MS;
    this.#publishedEpoch = 0; // The bus may have forgotten that plan.
  }

  /** Stops planning. */
  follow(): void {
    this.#term = null;
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  /** Something has changed: looks again soon. */
  wake(): void {
    this.#again = true;
    if (this.#busy || this.#term === null) return;
    this.#busy = true;
    void this.#run().finally(() => {
      this.#busy = false;
    });
  }

  /** The plan that the cluster as it is now would get with these constraints. */
  planFor(
    constraints: ClusterConstraints | null,
    revision: number,
    reason: string,
    rebalance?: RebalanceBudget,
  ): PlanResult {
    const { spec, weights, view, load, leastKvBlocks } = this.#options;
    const input = {
      spec,
      weights,
      workers: this.#usable.now(),
      load: load.rates(),
      constraints: planConstraints(this.#options, constraints, this.#restrictions()),
      previous: view.target,
      reason,
      constraintsRevision: revision,
      term: this.#term ?? view.target?.term ?? 0,
      ...(rebalance !== undefined && { rebalance }),
    };
    return planFittingCache(input, leastKvBlocks);
  }

  async #run(): Promise<void> {
    while (this.#again && this.#term !== null) {
      this.#again = false;
      try {
        await this.#step(this.#term);
      } catch (error) {
        this.#options.onError('planning', error);
      }
    }
  }

  async #step(term: number): Promise<void> {
    const { view } = this.#options;
    if (view.target !== null && view.target.term > term) return; // A later leader is at work.
    if (await restoreForgotten(view, this.#options.plans, this.#options.control)) return;
    if (await this.#publisher.overtake(term)) return;
    await this.#orphans.sweep(view, this.#options.reports, this.#options.now());
    if (this.#term !== term) return;
    const { target, committed } = view;
    if (target !== null) {
      const step = rolloutStep({ target, committed, reports: view.reports });
      if (step.kind === 'commit') return this.#publisher.commit(target);
      if (step.kind === 'fail') await this.#rollback.fail(target, step.workerId, step.reason);
      if (step.kind === 'complete') this.#failing.look(target, this.#plannedFor !== null);
      if (this.#term !== term) return;
    }
    this.#failing.retry();
    const inputs = this.#inputs();
    if (inputs !== this.#plannedFor && this.#settled()) await this.#plan(inputs);
    if (this.#term !== term) return;
    if (this.#upToDate()) {
      this.#requests.look();
      if (target !== null && view.target === target && committed?.epoch === target.epoch)
        await this.#rebalancer.look(target);
    }
    if (this.#term !== term) return;
    await this.#record.save(view.planning === null);
  }

  async #plan(inputs: string): Promise<void> {
    const { view, events } = this.#options;
    this.#usable.planned();
    const result = this.#planNow(this.#reason());
    if (result.kind === 'infeasible') {
      if (!isDeepStrictEqual(result.problems, this.#record.state.problems)) {
        const message = [...result.problems, ...this.#record.state.leftOut.map(leftOutText)].join('; ');
        events.publish({ code: 'PLAN_INFEASIBLE', severity: 'error', subject: 'plan', message });
      }
      this.#record.set({ problems: [...result.problems] });
      this.#planned(inputs);
      return;
    }
    if (result.plan !== view.target) {
      const reason = `${result.plan.reason}${this.#requests.nowPossible(result.plan)}`;
      const planned = await this.#publish(result.plan, reason);
      if (planned === null) return;
      const message = [`plan ${planned.epoch}: ${planned.reason}`, ...result.shortfalls].join('; ');
      const severity = result.shortfalls.length > 0 ? 'warning' : 'info';
      events.publish({ code: 'PLAN_PUBLISHED', severity, subject: `plan/${planned.epoch}`, message });
    }
    this.#record.set({ problems: [], shortfalls: [...result.shortfalls] });
    this.#planned(inputs);
  }

  /** A plan for what is there and asked now. */
  #planNow(reason: string, rebalance?: RebalanceBudget): PlanResult {
    const { constraints } = this.#options.view;
    return this.planFor(constraints?.value ?? null, constraints?.revision ?? 0, reason, rebalance);
  }

  /** The plan as it was written; null when something newer stands there. */
  async #publish(next: PlacementPlan, reason: string): Promise<PlacementPlan | null> {
    const { view, checksums } = this.#options;
    // Checksums may take long: what is written replaces what this was decided from, nothing newer.
    const [epoch, revision] = [leastEpoch(view), view.targetRevision];
    const planned = { ...(await withChecksums(next, checksums)), epoch, reason };
    if (!(await this.#publisher.publish(planned, revision))) return null;
    this.#publishedEpoch = epoch;
    return planned;
  }

  #planned(inputs: string): void {
    const { leaving, keeping } = this.#restrictions();
    this.#plannedFor = inputs;
    this.#seen = new Set(this.#usable.now().map(({ id }) => id));
    this.#restricted = new Set([...leaving, ...keeping]);
  }

  #reason(): string {
    const { target, constraints } = this.#options.view;
    const { leaving, keeping } = this.#failing.restricted;
    const failed = [...leaving, ...keeping].filter((id) => !this.#restricted.has(id));
    const workers = new Map(this.#usable.now().map((worker) => [worker.id, worker]));
    return planReason({ target, constraints, workers }, { seen: this.#seen, failed, retried: this.#failing.retried });
  }

  /** Workers that get nothing, or nothing new, besides what operators ask for. */
  #restrictions(): Restricted {
    const { view } = this.#options;
    // Who does not lead goes by what the leader has written.
    const { leaving, keeping } =
      this.#term === null ? restrictions(view.planning?.leftOut ?? [], view.workers) : this.#failing.restricted;
    const goes = [...view.workers.values()].filter(({ draining }) => draining).map(({ id }) => id);
    return { leaving: [...leaving, ...goes], keeping };
  }

  /** Everything that a new plan would be made for, as one comparable text. */
  #inputs(): string {
    const { view } = this.#options;
    const workers = [...this.#usable.orReturning()].sort((a, b) => (a.id < b.id ? -1 : 1));
    return JSON.stringify([view.constraints?.revision ?? 0, workers, this.#restrictions()]);
  }

  /** Whether the target plan that the bus has shown is the one for what is there and asked now: it may show a write late. */
  #upToDate(): boolean {
    return (this.#options.view.target?.epoch ?? 0) >= this.#publishedEpoch && this.#inputs() === this.#plannedFor;
  }

  /** Whether a plan may be made now. For the first, enough workers must be there and none have joined or left for a while. */
  #settled(): boolean {
    const { view, minWorkers, joinSettleMs, now } = this.#options;
    if (view.target !== null) return !this.holds;
    const reached = this.#usable.now();
    const members = reached
      .map(({ id }) => id)
      .sort()
      .join();
    if (members !== this.#membersSeen) {
      this.#membersSeen = members;
      this.#membersSince = now();
    }
    return reached.length >= minWorkers && now() - this.#membersSince >= joinSettleMs;
  }
}

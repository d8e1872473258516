import { isDeepStrictEqual } from 'node:util';
import type { Bucket } from '../../proto/bus/bus.ts';
import { COMMITTED_PLAN, TARGET_PLAN } from '../../proto/bus/subjects.ts';
import type { ClusterView } from '../../proto/cluster-view.ts';
import type { ClusterConstraints__Output as ClusterConstraints } from '../../proto/generated/conclave/v1/ClusterConstraints.ts';
import { conclave, encode, type ModelSpec, type PlacementPlan } from '../../proto/messages.ts';
import { planFittingCache } from '../planner/fit-cache.ts';
import type { PlanConstraints, PlanInput, PlanResult } from '../planner/input.ts';
import { leastEpoch, overtakingPlan } from './epochs.ts';
import type { EventLog } from './events.ts';
import type { ExpertLoadBook } from './expert-load.ts';
import { OrphanReports } from './orphan-reports.ts';
import { planConstraints } from './plan-constraints.ts';
import { planReason } from './plan-reason.ts';
import { restoreForgotten } from './restore.ts';
import { rollbackPlan, rolloutStep } from './rollout.ts';

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
  readonly plans: Bucket;
  readonly reports: Bucket;
  readonly control: Bucket;
  readonly load: ExpertLoadBook;
  readonly events: EventLog;
  /** Checksums by slice id that a layer's experts must have; empty when weights are not verified. */
  readonly checksums: (layer: number, slices: number) => Promise<readonly number[]>;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** Told of trouble with the bus; the leader tries again. */
  readonly onTrouble: (what: string, error: unknown) => void;
}

/** Milliseconds between looks when nothing happens. */
const TICK_MS = 250;
/**
 * Milliseconds for which a running cluster is not planned anew after this controller took the lead or the bus came back:
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
  #holdUntil = 0;
  #membersSince = 0;
  #membersSeen = '';
  /** Workers that failed before anything was in force, and why; until they are restarted they get nothing. */
  readonly #excluded = new Map<string, { readonly startedAtMs: number; readonly reason: string }>();
  readonly #orphans = new OrphanReports();
  #failedEpoch = 0;
  #problems: readonly string[] = [];
  #busy = false;
  #again = false;
  #timer: NodeJS.Timeout | null = null;

  constructor(options: LeaderOptions) {
    this.#options = options;
  }

  /** Why there is no plan for what is asked now; empty when there is one. */
  get problems(): readonly string[] {
    return this.#problems;
  }

  /** Begins to plan under a term of the lease. */
  lead(term: number): void {
    this.#term = term;
    this.#plannedFor = null;
    this.busReturned();
    this.#timer ??= setInterval(() => this.wake(), TICK_MS);
    this.wake();
  }

  /** The bus was away: what it says of members is old for a moment. */
  busReturned(): void {
    this.#holdUntil = this.#options.now() + HOLD_MS;
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
    shortfall: PlanConstraints['shortfall'],
  ): PlanResult {
    const { spec, weights, view, load, leastKvBlocks } = this.#options;
    const leaving = [...view.workers.values()].filter((worker) => this.#leaves(worker)).map(({ id }) => id);
    const input = {
      spec,
      weights,
      workers: [...view.workers.values()],
      load: load.rates(),
      constraints: { ...planConstraints(this.#options, constraints, leaving), shortfall },
      previous: view.target,
      reason,
      constraintsRevision: revision,
      term: this.#term ?? view.target?.term ?? 0,
    };
    return planFittingCache(input, leastKvBlocks);
  }

  async #run(): Promise<void> {
    while (this.#again && this.#term !== null) {
      this.#again = false;
      try {
        await this.#step(this.#term);
      } catch (error) {
        this.#options.onTrouble('planning', error);
      }
    }
  }

  async #step(term: number): Promise<void> {
    const { view } = this.#options;
    if (view.target !== null && view.target.term > term) return; // A later leader is at work.
    if (await restoreForgotten(view, this.#options.plans, this.#options.control)) return;
    if (await this.#overtake(term)) return;
    await this.#orphans.sweep(view, this.#options.reports, this.#options.now());
    if (this.#term !== term) return;
    const { target, committed } = view;
    const inputs = this.#inputs();
    if (target !== null) {
      const step = rolloutStep({ target, committed, reports: view.reports });
      if (step.kind === 'commit') return this.#commit(target);
      if (step.kind === 'fail') return this.#fail(target, step.workerId, step.reason, inputs);
    }
    if (inputs !== this.#plannedFor && this.#settled()) await this.#plan(inputs);
  }

  /** Members may follow a plan that nobody here knows of: see epochs.ts. */
  async #overtake(term: number): Promise<boolean> {
    const { view, events } = this.#options;
    const plan = overtakingPlan(view, term);
    if (plan === null || !(await this.#publish(plan, view.targetRevision))) return false;
    const message = `plan ${view.target?.epoch} is now plan ${plan.epoch}: workers follow a plan that the bus has forgotten`;
    events.publish({ code: 'EPOCH_RAISED', severity: 'warning', subject: `plan/${plan.epoch}`, message });
    return true;
  }

  async #commit(target: PlacementPlan): Promise<void> {
    const { view, plans, events } = this.#options;
    const value = encode(conclave.PlacementPlan, target);
    const revision = await (view.committedRevision === 0
      ? plans.create(COMMITTED_PLAN, value)
      : plans.update(COMMITTED_PLAN, value, view.committedRevision));
    if (revision === null) return;
    const message = `plan ${target.epoch} is in force: ${target.reason}`;
    events.publish({ code: 'PLAN_COMMITTED', severity: 'info', subject: `plan/${target.epoch}`, message });
  }

  async #fail(target: PlacementPlan, workerId: string, reason: string, inputs: string): Promise<void> {
    const { view, events } = this.#options;
    if (this.#failedEpoch !== target.epoch) {
      events.publish({ code: 'ROLLOUT_FAILED', severity: 'error', subject: `plan/${target.epoch}`, message: reason });
    }
    this.#failedEpoch = target.epoch;
    const gone = view.committed?.workers.some(({ id }) => !view.workers.has(id)) ?? true;
    if (view.committed === null || gone) {
      // There is nothing whole to go back to: plan without the worker until it is restarted.
      this.#excluded.set(workerId, { startedAtMs: view.workers.get(workerId)?.startedAtMs ?? 0, reason });
      const without = this.#inputs();
      if (without !== this.#plannedFor) await this.#plan(without);
      return;
    }
    // The same inputs would give the same plan: wait until something changes.
    this.#plannedFor = inputs;
    if (await this.#publish(rollbackPlan(view.committed, target, reason), view.targetRevision)) {
      const message = `went back to plan ${view.committed.epoch}: ${reason}`;
      events.publish({ code: 'ROLLED_BACK', severity: 'warning', subject: `plan/${target.epoch}`, message });
    }
  }

  async #plan(inputs: string): Promise<void> {
    const { view, events } = this.#options;
    const constraints = view.constraints;
    const result = this.planFor(
      constraints?.value ?? null,
      constraints?.revision ?? 0,
      planReason(view, (worker) => this.#leaves(worker)),
      'accept',
    );
    if (result.kind === 'infeasible') {
      const failed = [...this.#excluded].flatMap(([id, { startedAtMs, reason }]) =>
        view.workers.get(id)?.startedAtMs === startedAtMs ? [`left out until it is restarted: ${reason}`] : [],
      );
      const problems = [...result.problems, ...failed];
      if (!isDeepStrictEqual(problems, this.#problems)) {
        events.publish({ code: 'PLAN_INFEASIBLE', severity: 'error', subject: 'plan', message: problems.join('; ') });
      }
      this.#problems = problems;
      this.#plannedFor = inputs;
      return;
    }
    this.#problems = [];
    if (result.plan === view.target) {
      this.#plannedFor = inputs;
      return;
    }
    // Checksums may take long: what is written replaces what this was decided from, nothing newer.
    const [epoch, revision] = [leastEpoch(view), view.targetRevision];
    const planned = { ...(await this.#verified(result.plan)), epoch };
    if (!(await this.#publish(planned, revision))) return;
    this.#plannedFor = inputs;
    const message = [`plan ${planned.epoch}: ${planned.reason}`, ...result.shortfalls].join('; ');
    const severity = result.shortfalls.length > 0 ? 'warning' : 'info';
    events.publish({ code: 'PLAN_PUBLISHED', severity, subject: `plan/${planned.epoch}`, message });
  }

  /** Writes a target plan in place of the one at `revision`; false when another stands there. */
  async #publish(next: PlacementPlan, revision: number): Promise<boolean> {
    const { plans } = this.#options;
    const value = encode(conclave.PlacementPlan, next);
    const written = await (revision === 0
      ? plans.create(TARGET_PLAN, value)
      : plans.update(TARGET_PLAN, value, revision));
    return written !== null;
  }

  async #verified(planned: PlacementPlan): Promise<PlacementPlan> {
    const experts: PlacementPlan['experts'] = [];
    // One layer at a time: a layer's experts may take gigabytes to read.
    for (const placement of planned.experts) {
      const checksums = await this.#options.checksums(placement.layer, placement.slices);
      experts.push({ ...placement, checksums: [...checksums] });
    }
    return { ...planned, experts };
  }

  #leaves({
    id,
    draining,
    startedAtMs,
  }: {
    readonly id: string;
    readonly draining: boolean;
    readonly startedAtMs: number;
  }): boolean {
    return draining || this.#excluded.get(id)?.startedAtMs === startedAtMs;
  }

  /** Everything that a new plan would be made for, as one comparable text. */
  #inputs(): string {
    const { view } = this.#options;
    const workers = [...view.workers.values()].map((worker) => ({ ...worker, leaves: this.#leaves(worker) }));
    workers.sort((a, b) => (a.id < b.id ? -1 : 1));
    return JSON.stringify([view.constraints?.revision ?? 0, workers]);
  }

  /** Whether a plan may be made now. For the first, enough workers must be there and none have joined or left for a while. */
  #settled(): boolean {
    const { view, minWorkers, joinSettleMs, now } = this.#options;
    if (view.target !== null) return now() >= this.#holdUntil;
    const members = [...view.workers.keys()].sort().join();
    if (members !== this.#membersSeen) {
      this.#membersSeen = members;
      this.#membersSince = now();
    }
    return view.workers.size >= minWorkers && now() - this.#membersSince >= joinSettleMs;
  }
}

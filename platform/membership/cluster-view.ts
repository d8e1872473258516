import type { MessageTypeDefinition } from '@grpc/proto-loader';
import type { ClusterConstraints__Output as ClusterConstraints } from '../../proto/generated/conclave/v1/ClusterConstraints.ts';
import type { LeaderLease__Output as LeaderLease } from '../../proto/generated/conclave/v1/LeaderLease.ts';
import type { MissingWorker__Output as MissingWorker } from '../../proto/generated/conclave/v1/MissingWorker.ts';
import type { PlanningState__Output as PlanningState } from '../../proto/generated/conclave/v1/PlanningState.ts';
import type { WorkerAnnouncement__Output as WorkerAnnouncement } from '../../proto/generated/conclave/v1/WorkerAnnouncement.ts';
import type { WorkerReport__Output as WorkerReport } from '../../proto/generated/conclave/v1/WorkerReport.ts';
import { conclave, decode, type PlacementPlan } from '../../proto/messages.ts';
import type { Bus, Change } from '../bus/bus.ts';
import {
  COMMITTED_PLAN,
  CONSTRAINTS,
  LEASE,
  MEMBER_KEY,
  MISSING,
  PLANNING,
  SERVED_MODEL,
  TARGET_PLAN,
} from '../bus/subjects.ts';
import type { MemberKeys } from './membership.ts';

/** What changed in a view. */
export type ViewChange = 'plans' | 'workers' | 'reports' | 'constraints' | 'planning' | 'missing' | 'model' | 'lease';

/** A value on the bus and the revision at which it stands there: what a compare-and-set needs. */
export interface Versioned<Value> {
  readonly value: Value;
  readonly revision: number;
}

export interface ClusterViewOptions {
  readonly bus: Bus;
  readonly keys: MemberKeys;
  readonly onChange: (change: ViewChange, workerId: string | null) => void;
  /** Called with a value on the bus that is not what its key promises; it is ignored. */
  readonly onUnreadable: (key: string, error: unknown) => void;
}

/**
 * The cluster as the bus shows it: plans, members, and how far they are. Kept while the bus is away. Plans never go back
 * to a lower epoch: a leader that lost its lease may still write late.
 */
export class ClusterView {
  readonly workers = new Map<string, WorkerAnnouncement>();
  readonly reports = new Map<string, WorkerReport>();
  target: PlacementPlan | null = null;
  committed: PlacementPlan | null = null;
  /** What operators asked for; kept at revision 0 when the bus has forgotten it. */
  constraints: Versioned<ClusterConstraints> | null = null;
  /** What the leader found when it planned last. */
  planning: PlanningState | null = null;
  /** Workers that the leader misses. */
  missing: Versioned<readonly MissingWorker[]> = { value: [], revision: 0 };
  lease: LeaderLease | null = null;
  /** gzip of a ServedModel. */
  servedModel: Uint8Array | null = null;
  /** Revisions at which the plans stand on the bus, whatever their epoch; 0 where there is none. */
  targetRevision = 0;
  committedRevision = 0;
  readonly #options: ClusterViewOptions;
  #stops: (() => void)[] = [];

  constructor(options: ClusterViewOptions) {
    this.#options = options;
  }

  /** Watches the bus; resolves once everything that was there has been seen. */
  async start(): Promise<void> {
    const { bus } = this.#options;
    const watched = [
      ['control', (change: Change) => this.#control(change)],
      ['workers', (change: Change) => this.#worker(change)],
      ['reports', (change: Change) => this.#report(change)],
      ['plans', (change: Change) => this.#plan(change)],
    ] as const;
    for (const [name, apply] of watched) {
      const bucket = await bus.bucket(name);
      await new Promise<void>((resolve) => {
        this.#stops.push(bucket.watch(apply, resolve));
      });
    }
  }

  stop(): void {
    for (const stop of this.#stops) stop();
    this.#stops = [];
  }

  #plan(change: Change): void {
    const plan = this.#read(conclave.PlacementPlan, change) ?? null;
    const revision = change.value === null ? 0 : change.revision; // What cannot be read is replaced all the same.
    if (change.key === TARGET_PLAN) {
      this.targetRevision = revision;
      if (!newer(plan, this.target)) return;
      this.target = plan;
    } else if (change.key === COMMITTED_PLAN) {
      this.committedRevision = revision;
      if (!newer(plan, this.committed)) return;
      this.committed = plan;
    }
    this.#options.onChange('plans', null);
  }

  #worker(change: Change): void {
    const before = this.workers.get(change.key);
    const worker = this.#read(conclave.WorkerAnnouncement, change);
    if (worker === undefined) return;
    if (worker === null) this.workers.delete(change.key);
    else this.workers.set(change.key, worker);
    const same =
      before?.startedAtMs === worker?.startedAtMs &&
      before?.address === worker?.address &&
      before?.draining === worker?.draining;
    if (!same) this.#options.onChange('workers', change.key); // Else only a heartbeat.
  }

  #report(change: Change): void {
    const report = this.#read(conclave.WorkerReport, change);
    if (report === undefined) return;
    if (report === null) this.reports.delete(change.key);
    else this.reports.set(change.key, report);
    this.#options.onChange('reports', change.key);
  }

  #control(change: Change): void {
    if (change.key === MEMBER_KEY) {
      if (change.value !== null) this.#options.keys.set(Buffer.from(change.value).toString('utf8'));
    } else if (change.key === SERVED_MODEL) {
      if (change.value === null) return;
      this.servedModel = change.value;
      this.#options.onChange('model', null);
    } else if (change.key === LEASE) {
      const lease = this.#read(conclave.LeaderLease, change);
      if (lease === undefined) return;
      this.lease = lease;
      this.#options.onChange('lease', null);
    } else if (change.key === PLANNING) {
      const planning = this.#read(conclave.PlanningState, change);
      if (planning === undefined) return;
      this.planning = planning;
      this.#options.onChange('planning', null);
    } else if (change.key === CONSTRAINTS) {
      const value = this.#read(conclave.ClusterConstraints, change);
      if (value === undefined) return;
      if (value !== null) this.constraints = { value, revision: change.revision };
      else if (this.constraints !== null) this.constraints = { ...this.constraints, revision: 0 };
      this.#options.onChange('constraints', null);
    } else if (change.key === MISSING) {
      const value = this.#read(conclave.MissingWorkers, change)?.workers ?? [];
      this.missing = { value, revision: change.value === null ? 0 : change.revision };
      this.#options.onChange('missing', null);
    }
  }

  /** The decoded value, null when the key is gone, undefined when it cannot be read. */
  #read<Output extends object>(type: MessageTypeDefinition<object, Output>, change: Change): Output | null | undefined {
    if (change.value === null) return null;
    try {
      return decode(type, change.value);
    } catch (error) {
      this.#options.onUnreadable(change.key, error);
      return undefined;
    }
  }
}

function newer(plan: PlacementPlan | null, before: PlacementPlan | null): plan is PlacementPlan {
  return plan !== null && (before === null || plan.epoch > before.epoch);
}

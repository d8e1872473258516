import type { MessageTypeDefinition } from '@grpc/proto-loader';
import { type Bus, type Change } from '../../proto/bus/bus.ts';
import { COMMITTED_PLAN, MEMBER_KEY, TARGET_PLAN } from '../../proto/bus/subjects.ts';
import type { WorkerAnnouncement__Output as WorkerAnnouncement } from '../../proto/generated/conclave/v1/WorkerAnnouncement.ts';
import type { WorkerReport__Output as WorkerReport } from '../../proto/generated/conclave/v1/WorkerReport.ts';
import type { MemberKeys } from '../../proto/membership.ts';
import { conclave, decode, type PlacementPlan } from '../../proto/messages.ts';

/** What changed in a view. */
export type ViewChange = 'plans' | 'workers' | 'reports';

export interface ClusterViewOptions {
  readonly bus: Bus;
  readonly keys: MemberKeys;
  readonly onChange: (change: ViewChange, workerId: string | null) => void;
  /** Told of a value on the bus that is not what its key promises; it is ignored. */
  readonly onUnreadable: (key: string, error: unknown) => void;
}

/** The cluster as the bus tells it: plans, members, and how far they are. Kept while the bus is away. */
export class ClusterView {
  readonly workers = new Map<string, WorkerAnnouncement>();
  readonly reports = new Map<string, WorkerReport>();
  target: PlacementPlan | null = null;
  committed: PlacementPlan | null = null;
  readonly #options: ClusterViewOptions;
  #stops: (() => void)[] = [];

  constructor(options: ClusterViewOptions) {
    this.#options = options;
  }

  /** Watches the bus; resolves once everything that was there has been seen. */
  async start(): Promise<void> {
    const { bus } = this.#options;
    const [plans, workers, reports, control] = await Promise.all([
      bus.bucket('plans'),
      bus.bucket('workers'),
      bus.bucket('reports'),
      bus.bucket('control'),
    ]);
    const seen = [control, workers, reports, plans].map((bucket, i) => {
      const apply = [this.#control, this.#worker, this.#report, this.#plan][i] ?? this.#plan;
      return new Promise<void>((resolve) => {
        this.#stops.push(bucket.watch((change) => apply.call(this, change), resolve));
      });
    });
    await Promise.all(seen);
  }

  stop(): void {
    for (const stop of this.#stops) stop();
    this.#stops = [];
  }

  #plan(change: Change): void {
    const plan = this.#read(conclave.PlacementPlan, change);
    if (plan === undefined) return;
    // A plan never goes back: a leader that lost its lease may still write late.
    if (change.key === TARGET_PLAN && newer(plan, this.target)) this.target = plan;
    else if (change.key === COMMITTED_PLAN && newer(plan, this.committed)) this.committed = plan;
    else return;
    this.#options.onChange('plans', null);
  }

  #worker(change: Change): void {
    const before = this.workers.get(change.key);
    const worker = this.#read(conclave.WorkerAnnouncement, change);
    if (worker === undefined) return;
    if (worker === null) this.workers.delete(change.key);
    else this.workers.set(change.key, worker);
    if (before?.startedAtMs === worker?.startedAtMs && before?.address === worker?.address) return; // A heartbeat.
    this.#options.onChange('workers', change.key);
  }

  #report(change: Change): void {
    const report = this.#read(conclave.WorkerReport, change);
    if (report === undefined) return;
    if (report === null) this.reports.delete(change.key);
    else this.reports.set(change.key, report);
    this.#options.onChange('reports', change.key);
  }

  #control(change: Change): void {
    if (change.key === MEMBER_KEY && change.value !== null) {
      this.#options.keys.set(Buffer.from(change.value).toString('utf8'));
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

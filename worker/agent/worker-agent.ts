import type { Bucket, Bus } from '../../platform/bus/bus.ts';
import { loadSubject } from '../../platform/bus/subjects.ts';
import { ClusterView } from '../../platform/membership/cluster-view.ts';
import type { MemberKeys } from '../../platform/membership/membership.ts';
import type { WorkerActivity } from '../../proto/generated/conclave/v1/WorkerActivity.ts';
import type { WorkerAnnouncement } from '../../proto/generated/conclave/v1/WorkerAnnouncement.ts';
import { conclave, encode } from '../../proto/messages.ts';
import type { EngineSnapshot } from '../engine/run/observer.ts';
import type { Holder } from '../plan/expert-routes.ts';
import { type Claim, Holders } from '../plan/holders.ts';
import type { Targets } from '../shard/targets.ts';
import type { StageHost } from '../stage/stage-host.ts';
import { type Departure, nobodyStays } from './departure.ts';
import type { ExpertAgent } from './expert-agent.ts';
import { type Readiness, readiness } from './readiness.ts';
import { workerReport } from './reports.ts';

export interface WorkerAgentOptions {
  readonly cluster: string;
  readonly bus: Bus;
  readonly keys: MemberKeys;
  /** All but the address, which `start` takes. */
  readonly announcement: Omit<WorkerAnnouncement, 'address'> & { readonly id: string; readonly startedAtMs: number };
  readonly targets: Targets;
  /** What the worker did in so many seconds, since the last call; `engine`: null on a worker that leads no pipeline. */
  readonly activity: (seconds: number, engine: EngineSnapshot | null) => WorkerActivity;
  /** Called once when a newer process has joined under this worker's id; the agent has then left the cluster to it. */
  readonly onReplaced: (error: Error) => void;
  /** Called with each error of the bus; the agent goes on. */
  readonly onError: (what: string, error: unknown) => void;
  readonly heartbeatMs?: number;
  readonly loadReportMs?: number;
}

/** Reports closer together than this are merged. */
const REPORT_MS = 50;
/** A slot that left the list is freed after this long even if a stage has not said that it follows. */
const SETTLE_MS = 5_000;
/** Between tries at what a plan wants here and could not be loaded. */
const RETRY_MS = 5_000;

/**
 * The control plane's hand on a worker: announces it, follows plans with its experts and stages, and reports how far they
 * are. Nothing here is on a step's path: without the bus the worker goes on with what it has.
 */
export class WorkerAgent {
  readonly view: ClusterView;
  readonly #options: WorkerAgentOptions;
  readonly #holders = new Holders();
  #address = '';
  #experts: ExpertAgent | null = null;
  #stages: StageHost | null = null;
  #workers: Bucket | null = null;
  #reports: Bucket | null = null;
  #draining = false;
  #stopped = false;
  /** The bus has shown this process's own announcement. */
  #joined = false;
  /** Monotonic milliseconds at which it announced itself. */
  #joinedAt = 0;
  #replaced = false;
  #stopState: () => void = () => undefined;
  #reportTimer: NodeJS.Timeout | null = null;
  readonly #timers: NodeJS.Timeout[] = [];
  #settled: (() => boolean)[] = [];
  readonly #startedAt = new Map<string, number>();

  constructor(options: WorkerAgentOptions) {
    this.#options = options;
    this.view = new ClusterView({
      bus: options.bus,
      keys: options.keys,
      onChange: (change, workerId) => {
        if (change !== 'plans' && change !== 'workers' && change !== 'reports') return; // The leader's own matters.
        if (change === 'workers' && workerId === options.announcement.id) this.#noticeReplacement();
        else if (change === 'workers' && workerId !== null) this.#noticeRestart(workerId);
        if (change !== 'reports') this.#follow();
        this.#stages?.refreshRoutes();
        this.#settled = this.#settled.filter((check) => check());
      },
      onUnreadable: (key, error) => options.onError(`value of "${key}" on the bus`, error),
    });
  }

  /** Reports that nothing is held yet, follows the plans there are, and announces the worker at `address` (host:port). */
  async start(experts: ExpertAgent, stages: StageHost, address: string): Promise<void> {
    const { bus, heartbeatMs = 1_000, loadReportMs = 2_000 } = this.#options;
    this.#address = address;
    this.#experts = experts;
    this.#stages = stages;
    this.#workers = await bus.bucket('workers');
    this.#reports = await bus.bucket('reports');
    await this.#putReport(); // Before the announcement: what a process before this one held is not here.
    await this.view.start();
    this.#follow();
    this.#joinedAt = performance.now();
    await this.#announce();
    this.#stopState = bus.onState((state) => {
      // What this worker said may be gone: the bus may have come back without its data.
      if (state !== 'connected') return;
      this.changed();
      void this.#announce();
    });
    this.#timers.push(setInterval(() => void this.#announce(), heartbeatMs));
    this.#timers.push(setInterval(() => this.#publishLoad(loadReportMs / 1000), loadReportMs));
    this.#timers.push(setInterval(() => stages.refreshRoutes(), 1_000)); // Shares follow latency.
    this.#timers.push(setInterval(() => this.#retryFailed(), RETRY_MS));
  }

  /** Something that the report says has changed: it is put on the bus soon. */
  changed(): void {
    if (this.#stopped) return;
    this.#stages?.refreshRoutes();
    this.#reportTimer ??= setTimeout(() => {
      this.#reportTimer = null;
      void this.#putReport();
    }, REPORT_MS);
  }

  /**
   * Slots of every worker that is a dispatch target, and of this one under 0, that it says it holds: those that a plan in
   * force or on its way wants there, and spare ones. Users thus give a slot up before its holder frees it.
   */
  holders(): readonly Holder[] {
    const { announcement, targets } = this.#options;
    const claims: Claim[] = [{ target: 0, workerId: announcement.id, held: this.#experts?.held ?? [] }];
    for (const { id, held, startedAtMs } of this.view.reports.values()) {
      const worker = this.view.workers.get(id);
      if (id === announcement.id || (worker !== undefined && worker.startedAtMs !== startedAtMs)) continue;
      const address = worker?.address ?? this.#plannedAddress(id);
      const target = address === undefined ? undefined : targets.numberOf(id, address);
      if (target !== undefined) claims.push({ target, workerId: id, held });
    }
    const plans = [this.view.target, this.view.committed].filter((plan) => plan !== null);
    return this.#holders.of(plans, claims);
  }

  /** Whether this worker does what the cluster wants of it. */
  readiness(): Readiness {
    const { announcement, bus } = this.#options;
    const { id: workerId, startedAtMs } = announcement;
    const [experts, stages] = [this.#experts, this.#stages];
    return readiness({
      ...{ workerId, startedAtMs, address: this.#address, view: this.view, draining: this.#draining },
      held: experts?.held ?? [],
      readyPipelines: stages?.readyPipelines ?? [],
      error: experts?.progress.error ?? stages?.error ?? null,
      busConnected: bus.state === 'connected',
      joinedForMs: performance.now() - this.#joinedAt,
    });
  }

  /** Whether a worker's current process says that its part of a pipeline is loaded. */
  partnerReady(workerId: string, pipeline: string): boolean {
    const report = this.view.reports.get(workerId);
    const worker = this.view.workers.get(workerId);
    if (report === undefined || (worker !== undefined && worker.startedAtMs !== report.startedAtMs)) return false;
    return report.readyPipelines.includes(pipeline);
  }

  /** Resolves once the routes of every stage follow a committed plan of at least `epoch`, or after a while at the latest. */
  routesSettled(epoch: number): Promise<void> {
    return new Promise((resolve) => {
      const leads = new Set(
        this.view.committed?.pipelines.flatMap(({ stages }) =>
          stages.map(({ ranks }) => this.view.committed?.workers[ranks[0]?.worker ?? 0]?.id ?? ''),
        ),
      );
      const done = (): boolean => [...leads].every((id) => (this.view.reports.get(id)?.routesEpoch ?? 0) >= epoch);
      const timer = setTimeout(() => {
        this.#settled = this.#settled.filter((other) => other !== check);
        resolve();
      }, SETTLE_MS);
      const check = (): boolean => {
        if (!done()) return true;
        clearTimeout(timer);
        resolve();
        return false;
      };
      if (check()) this.#settled.push(check);
    });
  }

  /** Asks the leader to move everything off this worker, and waits for it, for `deadlineMs` at most. */
  async drain(deadlineMs: number): Promise<Departure> {
    this.#draining = true;
    await this.#announce();
    const { announcement } = this.#options;
    const started = performance.now();
    while (!this.#idle()) {
      if (nobodyStays(this.view, announcement.id, this.#stages?.engine?.snapshot() ?? null)) return 'nobody stays';
      if (performance.now() - started > deadlineMs) return 'too late';
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return 'moved';
  }

  /** Takes the worker off the bus. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#stopState();
    for (const timer of this.#timers) clearInterval(timer);
    if (this.#reportTimer !== null) clearTimeout(this.#reportTimer);
    this.view.stop();
    if (this.#replaced) return; // What stands there is the other's.
    const { announcement, onError } = this.#options;
    await Promise.all([this.#workers?.delete(announcement.id), this.#reports?.delete(announcement.id)]).catch((error) =>
      onError('leaving the cluster', error),
    );
  }

  /** Two processes under one id would be taken for one that restarts all the time: the older one gives way. */
  #noticeReplacement(): void {
    const { announcement, onReplaced } = this.#options;
    const other = this.view.workers.get(announcement.id);
    if (other?.startedAtMs === announcement.startedAtMs) this.#joined = true;
    // What stood there before this process joined is of one that has ended.
    if (!this.#joined || this.#replaced || other === undefined || other.startedAtMs <= announcement.startedAtMs) return;
    this.#replaced = true;
    const where = `process ${other.pid} on ${other.node} at ${other.address}`;
    onReplaced(new Error(`--id ${announcement.id}: ${where} has joined under the same id; give each worker its own`));
  }

  #noticeRestart(workerId: string): void {
    const startedAtMs = this.view.workers.get(workerId)?.startedAtMs;
    if (startedAtMs === undefined) return;
    const before = this.#startedAt.get(workerId);
    this.#startedAt.set(workerId, startedAtMs);
    if (before === startedAtMs) return;
    this.#options.targets.retryNow(workerId);
    this.#stages?.retryNow(workerId);
    if (before !== undefined) this.#stages?.partnerRestarted(workerId);
  }

  #idle(): boolean {
    const { id } = this.#options.announcement;
    const { target, committed } = this.view;
    const named = (plan: typeof target): boolean => plan?.workers.some((worker) => worker.id === id) ?? false;
    return !named(target) && !named(committed) && (this.#experts?.empty ?? true);
  }

  #follow(): void {
    const { announcement, targets } = this.#options;
    const { target, committed, workers } = this.view;
    const peers = new Map<string, string>();
    for (const plan of [committed, target]) for (const { id, address } of plan?.workers ?? []) peers.set(id, address);
    for (const { id, address } of workers.values()) peers.set(id, address);
    peers.delete(announcement.id);
    for (const id of this.#startedAt.keys()) if (!peers.has(id)) this.#startedAt.delete(id);
    targets.update([...peers].map(([id, address]) => ({ id, address })));
    this.#experts?.follow(target, committed);
    this.#stages?.follow(target, committed);
  }

  #retryFailed(): void {
    if (this.#experts?.progress.error || this.#stages?.error) this.#follow();
  }

  #plannedAddress(id: string): string | undefined {
    const plan = this.view.target ?? this.view.committed;
    return plan?.workers.find((worker) => worker.id === id)?.address;
  }

  async #announce(): Promise<void> {
    if (this.#replaced) return;
    const { announcement, onError } = this.#options;
    const message = { ...announcement, address: this.#address, draining: this.#draining };
    try {
      await this.#workers?.put(announcement.id, encode(conclave.WorkerAnnouncement, message));
    } catch (error) {
      onError('heartbeat', error);
    }
  }

  async #putReport(): Promise<void> {
    const { announcement, onError } = this.#options;
    const [experts, stages] = [this.#experts, this.#stages];
    if (experts === null || stages === null || this.#stopped || this.#replaced) return;
    const report = workerReport({
      workerId: announcement.id,
      startedAtMs: announcement.startedAtMs,
      draining: this.#draining,
      target: this.view.target,
      experts: experts.progress,
      held: experts.held,
      readyPipelines: stages.readyPipelines,
      stageError: stages.error,
      routesEpoch: stages.routesEpoch,
      reached: stages.dispatches ? this.#options.targets.reached() : [],
    });
    try {
      await this.#reports?.put(announcement.id, encode(conclave.WorkerReport, report));
    } catch (error) {
      onError('report', error);
      this.changed();
    }
  }

  #publishLoad(seconds: number): void {
    const { bus, cluster, announcement, activity } = this.#options;
    const report = {
      workerId: announcement.id,
      seconds,
      layers: this.#stages?.expertRows() ?? [],
      activity: activity(seconds, this.#stages?.engine?.snapshot() ?? null),
    };
    bus.publish(loadSubject(cluster, announcement.id), encode(conclave.LoadReport, report));
  }
}

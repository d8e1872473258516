/**
 * A controller's part in a cluster: what it serves is on the bus, plans are made while it leads, requests are routed to the
 * pipelines, and ControlService answers. The gateway around it is the same as in one process.
 */
import type { ChannelCredentials } from '@grpc/grpc-js';
import type { Bucket, Bus } from '../../platform/bus/bus.ts';
import { loadSubjects } from '../../platform/bus/subjects.ts';
import { ClusterView, type ViewChange } from '../../platform/membership/cluster-view.ts';
import { MemberKeys } from '../../platform/membership/membership.ts';
import { systemClock } from '../../platform/process/clock.ts';
import type { GrpcServer } from '../../platform/rpc/server.ts';
import type { DrainRequest__Output as DrainRequest } from '../../proto/generated/conclave/v1/DrainRequest.ts';
import type { GetStatusResponse } from '../../proto/generated/conclave/v1/GetStatusResponse.ts';
import type { ScaleRequest__Output as ScaleRequest } from '../../proto/generated/conclave/v1/ScaleRequest.ts';
import { conclave, decode, type ModelSpec } from '../../proto/messages.ts';
import type { WeightsFormat } from '../../proto/weights-formats.ts';
import type { LatencyMeter } from '../gateway/latency/latency-meter.ts';
import type { PlanConstraints } from '../planner/input/input.ts';
import { announce, compressed } from './announce-model.ts';
import { ClusterRouter } from './cluster-router.ts';
import type { AdminAccess } from './control/admin-access.ts';
import { controlService, type PoolScaling } from './control/control-service.ts';
import { type ManagedChanges, managedChanges } from './control/managed-changes.ts';
import { type ChangeOutcome, drain, type OperatorChangesOptions, scale } from './control/operator-changes.ts';
import { clusterStatus, noPlanReasons } from './control/status.ts';
import { EventLog } from './events/events.ts';
import { FailureCounts } from './failure-counts.ts';
import { ChecksumCache } from './leader/checksums.ts';
import { Leader } from './leader/leader.ts';
import { Lease } from './leader/lease.ts';
import { ActivityBook } from './load/activity.ts';
import { ExpertLoadBook } from './load/expert-load.ts';
import { GatewayReports } from './load/gateway-reports.ts';
import { MemberWatch } from './member-watch.ts';
import { obstacles } from './obstacles.ts';
import { Attendance } from './roster/attendance.ts';
import { grpcConnections } from './roster/connection.ts';

export interface ClusterControllerOptions {
  readonly bus: Bus;
  readonly cluster: string;
  readonly id: string;
  /** Checkpoint folder, for checksums. */
  readonly directory: string;
  readonly spec: ModelSpec;
  readonly weights: WeightsFormat;
  readonly maxModelLen: number;
  readonly maxNumSeqs: number;
  readonly maxNumBatchedTokens: number;
  readonly constraints: PlanConstraints;
  /** The cache may be planned smaller than the constraints say, down to so many blocks, where memory is short. */
  readonly leastKvBlocks: number;
  readonly minWorkers: number;
  /** Whether load alone is a reason for a plan. */
  readonly rebalance: 'auto' | 'off';
  /** Whether workers must compare experts with checksums that this controller makes of its own copy. */
  readonly verifyWeights: boolean;
  /** For connections to workers. */
  readonly credentials: ChannelCredentials;
  /** Called with each error that the controller survives. */
  readonly onError: (what: string, error: unknown) => void;
}

export interface ClusterController {
  readonly router: ClusterRouter;
  readonly events: EventLog;
  readonly view: ClusterView;
  status(): GetStatusResponse;
  /** Whether this controller leads. */
  leads(): boolean;
  /** The term under which it may act on who is there and who is not; null: it does not lead, or has not for long. */
  actingTerm(): number | null;
  /** Calls `listener` when something in the cluster has changed. Returns a function that stops it. */
  onChange(listener: () => void): () => void;
  /** What an operator on Kubernetes changes. */
  managed(): ManagedChanges;
  /** Expert slots that plans made here loaded because of load alone. */
  expertMoves(): number;
  /** Measures the requests of this controller's gateway, for the status of all controllers. */
  readonly latencies: LatencyMeter;
  /** What operators change other than over ControlService, for `by`. Refusals are ControlErrors. */
  scale(request: ScaleRequest, by: string): Promise<ChangeOutcome>;
  drain(request: DrainRequest, by: string): Promise<ChangeOutcome>;
  /** Why requests cannot be answered now; empty: they can. */
  obstacles(): readonly string[];
  /** Whether requests could be answered until a moment ago: those that come now may wait. */
  patient(): boolean;
  /** Adds ControlService for those that have access; `pools` where something makes workers in pools. */
  serve(grpc: GrpcServer, access: AdminAccess, pools: PoolScaling | null): void;
  close(): Promise<void>;
}

/** Milliseconds after the last lead was lost in which new requests wait for another one, as those that run do. */
const PATIENCE_MS = 30_000;

/** Joins the cluster as a controller. Rejects when the cluster serves another model. */
export async function startClusterController(options: ClusterControllerOptions): Promise<ClusterController> {
  const { bus } = options;
  const buckets = {
    control: await bus.bucket('control'),
    plans: await bus.bucket('plans'),
    reports: await bus.bucket('reports'),
  };
  const controller = new Controller(options, buckets);
  await controller.start();
  return controller;
}

interface Buckets {
  readonly control: Bucket;
  readonly plans: Bucket;
  readonly reports: Bucket;
}

/** The parts of a controller in a cluster, and what each does when another one has seen something. */
class Controller implements ClusterController {
  readonly router: ClusterRouter;
  readonly events: EventLog;
  readonly view: ClusterView;
  readonly #options: ClusterControllerOptions;
  readonly #control: Bucket;
  readonly #served: Buffer;
  readonly #keys = new MemberKeys();
  readonly #load: ExpertLoadBook;
  readonly #activity = new ActivityBook(() => performance.now());
  readonly #failures = new FailureCounts();
  readonly #gateways: GatewayReports;
  readonly #members: MemberWatch;
  readonly #attendance: Attendance;
  readonly #leader: Leader;
  readonly #lease: Lease;
  readonly #listeners = new Set<() => void>();
  #stops: readonly (() => void)[] = [];
  #readyAt = Number.NEGATIVE_INFINITY;

  constructor(options: ClusterControllerOptions, buckets: Buckets) {
    const { bus, cluster, spec, credentials, onError } = options;
    this.#options = options;
    this.#control = buckets.control;
    const { weights, maxModelLen, maxNumSeqs, maxNumBatchedTokens } = options;
    this.#served = compressed({ spec, weights, maxModelLen, maxNumSeqs, maxNumBatchedTokens });
    this.#load = new ExpertLoadBook(spec);
    this.#gateways = new GatewayReports({ bus, cluster, id: options.id, now: () => performance.now(), onError });
    this.events = new EventLog({ bus, cluster, wallClock: Date.now });
    this.view = new ClusterView({
      ...{ bus, keys: this.#keys },
      onChange: (change) => this.#viewChanged(change),
      onUnreadable: (key, error) => onError(`value of "${key}" on the bus`, error),
    });
    this.#attendance = new Attendance({
      ...{ view: this.view, bus, control: buckets.control, events: this.events, onError },
      ...{ clock: systemClock, wallClock: Date.now },
      connect: grpcConnections(credentials, () => this.#keys.metadata()),
      leads: () => this.leads(),
      onChange: () => this.#attendanceChanged(),
    });
    const { roster } = this.#attendance;
    this.router = new ClusterRouter({ view: this.view, roster, credentials, keys: this.#keys });
    this.#leader = this.#createLeader(buckets);
    this.#lease = this.#createLease();
    this.#members = new MemberWatch({
      ...{ view: this.view, control: buckets.control, events: this.events, wallClock: Date.now, onError },
      leads: () => this.leads(),
    });
  }

  /** Says what is served, and begins to watch and to compete for the lease. */
  async start(): Promise<void> {
    const { bus, spec } = this.#options;
    await announce(bus, this.#keys, this.#served, spec.digest);
    await this.#loadEvents();
    this.#stops = this.#subscriptions();
    await this.view.start();
    this.#members.start();
    this.#attendance.start();
    this.#gateways.start();
    this.#lease.start();
  }

  get latencies(): LatencyMeter {
    return this.#gateways.meter;
  }

  leads(): boolean {
    return this.#lease.term !== null;
  }

  actingTerm(): number | null {
    return this.#leader.holds ? null : this.#lease.term;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  managed(): ManagedChanges {
    return managedChanges(this.#changes());
  }

  expertMoves(): number {
    return this.#leader.expertMoves;
  }

  status(): GetStatusResponse {
    const { spec, constraints, minWorkers, rebalance, bus } = this.#options;
    return clusterStatus({
      ...{ spec, defaultReplicas: constraints.defaultReplicas, minWorkers, rebalance, view: this.view },
      ...{ roster: this.#attendance.roster, load: this.#load, activity: this.#activity, events: this.events },
      ...{ failures: this.#failures.byCode, latency: this.#gateways.summary(), bus: bus.state, wallClock: Date.now },
    });
  }

  obstacles(): readonly string[] {
    const { roster } = this.#attendance;
    const reasons = noPlanReasons(this.view, roster, this.#options.minWorkers);
    const found = obstacles(this.view, roster, this.router.ready, reasons);
    if (found.length === 0) this.#readyAt = performance.now();
    return found;
  }

  patient(): boolean {
    return performance.now() - this.#readyAt < PATIENCE_MS;
  }

  scale(request: ScaleRequest, by: string): Promise<ChangeOutcome> {
    return scale(request, by, this.#changes());
  }

  drain(request: DrainRequest, by: string): Promise<ChangeOutcome> {
    return drain(request, by, this.#changes());
  }

  serve(grpc: GrpcServer, { allows, nameOf }: AdminAccess, pools: PoolScaling | null): void {
    const handlers = controlService({
      ...this.#changes(),
      ...{ nameOf, pools, events: this.events },
      status: () => this.status(),
    });
    grpc.addService('conclave.v1.ControlService', conclave.ControlService.service, { ...handlers }, allows);
  }

  async close(): Promise<void> {
    for (const stop of this.#stops) stop();
    this.#attendance.close();
    this.#gateways.close();
    await this.#lease.stop();
    this.view.stop();
    this.router.close();
    this.events.close();
  }

  #changes(): OperatorChangesOptions {
    const { spec, weights, constraints } = this.#options;
    return {
      ...{ spec, weights, defaultReplicas: constraints.defaultReplicas, wallClock: Date.now },
      ...{ view: this.view, control: this.#control, load: this.#load },
      planFor: (constraints, revision, reason) => this.#leader.planFor(constraints, revision, reason),
    };
  }

  #createLeader({ plans, reports, control }: Buckets): Leader {
    const { spec, weights, constraints, leastKvBlocks, minWorkers, directory, verifyWeights, onError } = this.#options;
    const checksums = new ChecksumCache(spec, directory);
    return new Leader({
      ...{ spec, weights, baseConstraints: constraints, leastKvBlocks, minWorkers, joinSettleMs: 500 },
      ...{ view: this.view, roster: this.#attendance.roster, plans, reports, control },
      ...{ rebalance: this.#options.rebalance, load: this.#load, events: this.events },
      ...{ now: () => performance.now(), wallClock: Date.now, onError },
      checksums: async (layer, slices) => (verifyWeights ? checksums.get(layer, slices) : []),
    });
  }

  #createLease(): Lease {
    const { id, onError } = this.#options;
    return new Lease({
      ...{ bucket: this.#control, controllerId: id, now: () => performance.now(), wallClock: Date.now },
      onLead: (term) => {
        this.#leader.lead(term);
        this.#changed();
        const subject = `controller/${id}`;
        this.events.publish({ code: 'LEADER', severity: 'info', subject, message: `leads in term ${term}` });
      },
      onFollow: () => this.#leader.follow(),
      leastTerm: () => this.view.target?.term ?? 0,
      onError: (error) => onError('lease', error),
    });
  }

  #subscriptions(): readonly (() => void)[] {
    const { bus, cluster } = this.#options;
    return [
      bus.subscribe(loadSubjects(cluster), (payload) => this.#loadReported(payload)),
      bus.onState((state) => {
        if (state === 'connected') this.#busReturned();
      }),
      this.events.watch((event) => {
        const { code, subject } = event;
        if (code === 'PEER_LOST' && subject.startsWith('worker/')) {
          this.#attendance.lookNow(subject.slice('worker/'.length));
        }
        this.#failures.count(event);
      }),
    ];
  }

  #viewChanged(change: ViewChange): void {
    if (change === 'missing') this.#attendance.listChanged();
    if (change === 'workers') {
      this.#members.look();
      this.#attendance.follow();
    }
    this.#changed();
  }

  #attendanceChanged(): void {
    this.router.dropLost();
    this.#changed();
  }

  #changed(): void {
    this.#leader.wake();
    for (const listener of this.#listeners) listener();
  }

  #loadReported(payload: Uint8Array): void {
    try {
      const report = decode(conclave.LoadReport, payload);
      this.#load.add(report);
      this.#activity.add(report);
    } catch (error) {
      this.#options.onError('load report', error);
    }
  }

  #busReturned(): void {
    const { bus, spec, onError } = this.#options;
    this.#leader.busReturned();
    void this.#loadEvents();
    announce(bus, this.#keys, this.#served, spec.digest).catch((error: unknown) => onError('served model', error));
  }

  #loadEvents(): Promise<void> {
    return this.events.load().catch((error: unknown) => this.#options.onError('past events', error));
  }
}

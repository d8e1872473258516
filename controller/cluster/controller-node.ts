/**
 * A controller's part in a cluster: what it serves is on the bus, plans are made while it leads, requests are routed to the
 * pipelines, and ControlService answers. The gateway around it is the same as in one process.
 */
import { randomBytes } from 'node:crypto';
import { gunzipSync, gzipSync } from 'node:zlib';
import type { ChannelCredentials } from '@grpc/grpc-js';
import type { Bus } from '../../proto/bus/bus.ts';
import { loadSubjects, MEMBER_KEY, SERVED_MODEL } from '../../proto/bus/subjects.ts';
import { systemClock } from '../../proto/clock.ts';
import { ClusterView } from '../../proto/cluster-view.ts';
import type { GetStatusResponse } from '../../proto/generated/conclave/v1/GetStatusResponse.ts';
import type { ServedModel } from '../../proto/generated/conclave/v1/ServedModel.ts';
import { MemberKeys } from '../../proto/membership.ts';
import { conclave, decode, encode, type ModelSpec } from '../../proto/messages.ts';
import type { GrpcServer } from '../../proto/server.ts';
import type { WeightsFormat } from '../../proto/weights-formats.ts';
import type { PlanConstraints } from '../planner/input.ts';
import { ActivityBook } from './activity.ts';
import type { AdminAccess } from './admin-access.ts';
import { expertChecksums } from './checksums.ts';
import { ClusterRouter } from './cluster-router.ts';
import { editConstraints, withoutDraining } from './constraints.ts';
import { controlService } from './control-service.ts';
import { EventLog } from './events.ts';
import { ExpertLoadBook } from './expert-load.ts';
import { Leader } from './leader.ts';
import { Lease } from './lease.ts';
import { type Members, memberChanges, memberEvent } from './membership.ts';
import { obstacles } from './obstacles.ts';
import { Attendance } from './roster/attendance.ts';
import { grpcConnections } from './roster/connection.ts';
import { clusterStatus, noPlanReasons } from './status.ts';

export interface ControllerNodeOptions {
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
  /** Whether workers must compare experts with checksums that this controller makes of its own copy. */
  readonly verifyWeights: boolean;
  /** For connections to workers. */
  readonly credentials: ChannelCredentials;
  /** Called with each error that the controller survives. */
  readonly onError: (what: string, error: unknown) => void;
}

export interface ControllerNode {
  readonly router: ClusterRouter;
  readonly events: EventLog;
  readonly view: ClusterView;
  readonly status: () => GetStatusResponse;
  /** Whether this controller leads. */
  readonly leads: () => boolean;
  /** Why requests cannot be answered now; empty: they can. */
  readonly obstacles: () => readonly string[];
  /** Whether requests could be answered until a moment ago: those that come now may wait. */
  readonly patient: () => boolean;
  /** Adds ControlService for those that have access. */
  serve(grpc: GrpcServer, access: AdminAccess): void;
  close(): Promise<void>;
}

/** Largest value on the bus, in bytes; NATS takes 1 MiB by default. */
const MAX_VALUE_BYTES = 1_000_000;

/** Milliseconds after the last lead was lost in which new requests wait for another one, as those that run do. */
const PATIENCE_MS = 30_000;

/** Codes that failures are counted by; whatever members send, there are no more. */
const MAX_FAILURE_CODES = 64;

/** Joins the cluster as a controller. Rejects when the cluster serves another model. */
export async function startControllerNode(options: ControllerNodeOptions): Promise<ControllerNode> {
  const { bus, cluster, spec, onError } = options;
  const [control, plans, reports] = [
    await bus.bucket('control'),
    await bus.bucket('plans'),
    await bus.bucket('reports'),
  ];
  const served = compressed(options);
  const keys = new MemberKeys();
  const load = new ExpertLoadBook(spec);
  const activity = new ActivityBook(() => performance.now());
  const { defaultReplicas } = options.constraints;
  const events = new EventLog({ bus, cluster, wallClock: Date.now });
  const failures: Record<string, number> = {};
  const checksums = new Map<string, Promise<readonly number[]>>();
  const view = new ClusterView({
    bus,
    keys,
    onChange: (change) => {
      if (change === 'missing') attendance.listChanged();
      if (change === 'workers') {
        releaseDrains();
        noteMembers();
        attendance.follow();
      }
      leader.wake();
    },
    onUnreadable: (key, error) => onError(`value of "${key}" on the bus`, error),
  });
  const attendance = new Attendance({
    ...{ view, bus, control, events, onError, clock: systemClock, wallClock: Date.now },
    connect: grpcConnections(options.credentials, () => keys.metadata()),
    leads: () => lease.term !== null,
    onChange: () => {
      router.dropLost();
      leader.wake();
    },
  });
  const { roster } = attendance;
  const router = new ClusterRouter({ view, roster, credentials: options.credentials, keys });
  const leader: Leader = new Leader({
    spec,
    weights: options.weights,
    baseConstraints: options.constraints,
    leastKvBlocks: options.leastKvBlocks,
    minWorkers: options.minWorkers,
    joinSettleMs: 500,
    view,
    roster,
    plans,
    reports,
    control,
    load,
    events,
    checksums: (layer, slices) => {
      if (!options.verifyWeights) return Promise.resolve([]);
      const key = `${layer}/${slices}`;
      const known = checksums.get(key) ?? expertChecksums(spec, options.directory, layer, slices);
      checksums.set(key, known);
      known.catch(() => checksums.delete(key)); // A disk may be back for the next plan.
      return known;
    },
    now: () => performance.now(),
    wallClock: Date.now,
    onError,
  });
  const lease: Lease = new Lease({
    bucket: control,
    controllerId: options.id,
    now: () => performance.now(),
    wallClock: Date.now,
    onLead: (term) => {
      leader.lead(term);
      events.publish({
        code: 'LEADER',
        severity: 'info',
        subject: `controller/${options.id}`,
        message: `leads in term ${term}`,
      });
    },
    onFollow: () => leader.follow(),
    leastTerm: () => view.target?.term ?? 0,
    onError: (error) => onError('lease', error),
  });
  /** A drained worker that has left is used again when it comes back. */
  const releaseDrains = (): void => {
    const asked = view.constraints?.value.draining ?? [];
    const gone = asked.map(({ workerId }) => workerId).filter((id) => !view.workers.has(id));
    if (lease.term === null || gone.length === 0) return;
    const cluster = { by: '', atMs: Date.now() };
    editConstraints(control, cluster, (now) => ({
      what: `${gone.join(', ')} left, which ends the drain`,
      next: gone.reduce(withoutDraining, now),
    })).catch((error: unknown) => onError('constraints', error));
  };

  /** Every controller keeps count; the leader tells. */
  let members: Members | null = null;
  const noteMembers = (): void => {
    const planned = (id: string): boolean =>
      [view.target, view.committed].some((plan) => plan?.workers.some((worker) => worker.id === id));
    const changes = members === null ? [] : memberChanges(members, view.workers, planned);
    if (members !== null) members = new Map(view.workers);
    if (lease.term !== null) for (const change of changes) events.publish(memberEvent(change));
  };

  const loadEvents = (): Promise<void> => events.load().catch((error: unknown) => onError('past events', error));
  await announce(bus, keys, served, spec.digest);
  await loadEvents();
  const stops = [
    bus.subscribe(loadSubjects(cluster), (payload) => {
      try {
        const report = decode(conclave.LoadReport, payload);
        load.add(report);
        activity.add(report);
      } catch (error) {
        onError('load report', error);
      }
    }),
    bus.onState((state) => {
      if (state !== 'connected') return;
      leader.busReturned();
      void loadEvents();
      announce(bus, keys, served, spec.digest).catch((error: unknown) => onError('served model', error));
    }),
    events.watch(({ code, severity, count, subject }) => {
      if (code === 'PEER_LOST' && subject.startsWith('worker/')) attendance.lookNow(subject.slice('worker/'.length));
      if (severity === 'info') return;
      const known = code in failures || Object.keys(failures).length < MAX_FAILURE_CODES ? code : 'OTHER';
      failures[known] = (failures[known] ?? 0) + Math.max(1, count);
    }),
  ];
  await view.start();
  members = new Map(view.workers);
  attendance.start();
  lease.start();

  const status = (): GetStatusResponse =>
    clusterStatus({
      ...{ spec, defaultReplicas, minWorkers: options.minWorkers, view, roster, load, activity, events, failures },
      ...{ bus: bus.state, wallClock: Date.now },
    });
  const planFor = leader.planFor.bind(leader);
  let readyAt = Number.NEGATIVE_INFINITY;
  return {
    router,
    events,
    view,
    status,
    leads: () => lease.term !== null,
    obstacles: () => {
      const found = obstacles(view, roster, router.ready, noPlanReasons(view, roster, options.minWorkers));
      if (found.length === 0) readyAt = performance.now();
      return found;
    },
    patient: () => performance.now() - readyAt < PATIENCE_MS,
    serve: (grpc, access) => {
      const { weights } = options;
      const { nameOf } = access;
      const wallClock = Date.now;
      const handlers = {
        ...controlService({
          ...{ spec, weights, defaultReplicas, view, control, load, events, status, planFor, nameOf, wallClock },
        }),
      };
      grpc.addService('conclave.v1.ControlService', conclave.ControlService.service, handlers, access.allows);
    },
    close: async () => {
      for (const stop of stops) stop();
      attendance.close();
      await lease.stop();
      view.stop();
      router.close();
      events.close();
    },
  };
}

function compressed({ spec, weights, maxModelLen, maxNumSeqs, maxNumBatchedTokens }: ControllerNodeOptions): Buffer {
  const message: ServedModel = { spec, weights, maxModelLen, maxNumSeqs, maxNumBatchedTokens };
  const bytes = gzipSync(encode(conclave.ServedModel, message));
  if (bytes.byteLength > MAX_VALUE_BYTES) {
    throw new Error(
      `the model's description takes ${bytes.byteLength} bytes on the bus; at most ${MAX_VALUE_BYTES} fit`,
    );
  }
  return bytes;
}

/**
 * Says on the bus what is served and makes the members' secret, or puts it back. A cluster that has workers keeps its model; one without is
 * given this controller's.
 */
async function announce(bus: Bus, keys: MemberKeys, served: Buffer, digest: string): Promise<void> {
  const control = await bus.bucket('control');
  await control.create(MEMBER_KEY, Buffer.from(keys.current ?? randomBytes(32).toString('base64url')));
  if ((await control.create(SERVED_MODEL, served)) !== null) return;
  const entry = await control.get(SERVED_MODEL);
  const other = entry === null ? null : decode(conclave.ServedModel, gunzipSync(entry.value)).spec;
  if (other !== null && other.digest !== digest && (await hasWorkers(bus))) {
    throw new Error(
      `the cluster serves "${other.name}" (digest ${other.digest.slice(0, 12)}…) with workers, this controller has another ` +
        `model (digest ${digest.slice(0, 12)}…): give it a --cluster name of its own, or stop the workers first`,
    );
  }
  await control.put(SERVED_MODEL, served);
}

async function hasWorkers(bus: Bus): Promise<boolean> {
  const workers = await bus.bucket('workers');
  let found = false;
  await new Promise<void>((resolve) => {
    const stop = workers.watch(
      ({ value }) => {
        found ||= value !== null;
      },
      () => {
        resolve();
        queueMicrotask(() => stop());
      },
    );
  });
  return found;
}

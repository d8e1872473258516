import { Metadata, type ServerUnaryCall, type ServerWritableStream, type sendUnaryData, status } from '@grpc/grpc-js';
import type { ControlServiceHandlers } from '../../../proto/generated/conclave/v1/ControlService.ts';
import type { CordonRequest__Output as CordonRequest } from '../../../proto/generated/conclave/v1/CordonRequest.ts';
import type { DrainRequest__Output as DrainRequest } from '../../../proto/generated/conclave/v1/DrainRequest.ts';
import type { ForgetRequest__Output as ForgetRequest } from '../../../proto/generated/conclave/v1/ForgetRequest.ts';
import type { ForgetResponse } from '../../../proto/generated/conclave/v1/ForgetResponse.ts';
import type { GetStatusResponse } from '../../../proto/generated/conclave/v1/GetStatusResponse.ts';
import type { ScaleRequest__Output as ScaleRequest } from '../../../proto/generated/conclave/v1/ScaleRequest.ts';
import type { ScaleResponse } from '../../../proto/generated/conclave/v1/ScaleResponse.ts';
import type { WatchEventsRequest__Output as WatchEventsRequest } from '../../../proto/generated/conclave/v1/WatchEventsRequest.ts';
import type { WatchEventsResponse } from '../../../proto/generated/conclave/v1/WatchEventsResponse.ts';
import { describePlan } from '../../planner/describe.ts';
import type { EventLog } from '../events/events.ts';
import { forgetMissing } from '../roster/missing.ts';
import type { AdminAccess } from './admin-access.ts';
import { ControlError } from './control-error.ts';
import { cordon, drain, type OperatorChangesOptions, scale } from './operator-changes.ts';

export interface ControlServiceOptions extends OperatorChangesOptions {
  readonly events: EventLog;
  readonly status: () => GetStatusResponse;
  readonly nameOf: AdminAccess['nameOf'];
  /** Null: the cluster does not run on Kubernetes. */
  readonly pools: PoolScaling | null;
}

/** Pools of workers that something else makes, by name. */
export interface PoolScaling {
  /** Asks for so many workers, for `by`. Returns how many were asked for before. Rejects with a ControlError. */
  scale(pool: string, replicas: number, by: string): Promise<number>;
}

/** Events of one watcher that wait for a slow reader; more are dropped. */
const MAX_UNREAD = 1_000;
/** Workers of a pool. */
const MAX_POOL = 10_000;
/** Header of WatchEvents: how many of the first events are past ones. */
const BACKLOG_HEADER = 'conclave-backlog';

/** ControlService on any controller: it changes what is asked on the bus, and the leader plans. */
export function controlService(options: ControlServiceOptions): ControlServiceHandlers {
  const { nameOf } = options;
  return {
    GetStatus: unary(async () => options.status()),
    GetModelSpec: unary(async () => ({ spec: options.spec })),
    GetPlan: unary(async () => {
      const { target } = options.view;
      if (target === null) throw new ControlError(status.NOT_FOUND, noPlan(options.status()));
      return { plan: target, description: describePlan(target, options.load.rates()) };
    }),
    Scale: unary(async (request: ScaleRequest, metadata) =>
      request.target === 'pool'
        ? scalePool(request, nameOf(metadata), options)
        : scale(request, nameOf(metadata), options),
    ),
    Drain: unary((request: DrainRequest, metadata) => drain(request, nameOf(metadata), options)),
    Cordon: unary((request: CordonRequest, metadata) => cordon(request, nameOf(metadata), options)),
    Forget: unary((request: ForgetRequest, metadata) => forget(request, nameOf(metadata), options)),
    WatchEvents: (call) => watchEvents(call, options.events),
  };
}

async function scalePool(
  { pool = '', replicas, dryRun }: ScaleRequest,
  by: string,
  { pools }: ControlServiceOptions,
): Promise<ScaleResponse> {
  if (pools === null) {
    const message = 'pool: expected a cluster on Kubernetes, whose controllers run with --kubernetes';
    throw new ControlError(status.FAILED_PRECONDITION, message);
  }
  if (dryRun) {
    const message = 'dry_run: which pods go is only known once a pool is scaled; expected false with pool';
    throw new ControlError(status.INVALID_ARGUMENT, message);
  }
  if (replicas > MAX_POOL) {
    throw new ControlError(status.INVALID_ARGUMENT, `replicas: expected 0 to ${MAX_POOL}, got ${replicas}`);
  }
  return { epoch: 0, experts: [], poolReplicasBefore: await pools.scale(pool, replicas, by) };
}

async function forget(
  { workerId }: ForgetRequest,
  by: string,
  { view, control, events }: ControlServiceOptions,
): Promise<ForgetResponse> {
  if (view.workers.has(workerId)) {
    const message = `worker_id: worker "${workerId}" sends heartbeats: only one that is lost can be forgotten; drain it instead`;
    throw new ControlError(status.FAILED_PRECONDITION, message);
  }
  if (await forgetMissing(control, workerId)) {
    const message = `${workerId} was taken off the list of lost workers by ${by}`;
    events.publish({ code: 'WORKER_FORGOTTEN', severity: 'info', subject: `worker/${workerId}`, message });
    return {};
  }
  const lost = view.missing.value.filter(({ workerId: id }) => !view.workers.has(id)).map(({ workerId: id }) => id);
  const known = lost.sort().join(', ') || 'none';
  throw new ControlError(status.NOT_FOUND, `worker_id: no lost worker "${workerId}"; there are: ${known}`);
}

function watchEvents(call: ServerWritableStream<WatchEventsRequest, WatchEventsResponse>, events: EventLog): void {
  const recent = events.recent(call.request.backlog);
  const metadata = new Metadata();
  metadata.set(BACKLOG_HEADER, String(recent.length));
  call.sendMetadata(metadata);
  for (const event of recent) call.write({ event });
  const stop = events.watch((event) => {
    if (call.writableLength < MAX_UNREAD) call.write({ event });
  });
  call.on('cancelled', stop);
  call.on('close', stop);
  call.on('error', stop);
}

function noPlan(state: GetStatusResponse): string {
  return `there is no plan yet: ${state.rollout?.error || 'no worker has joined'}`;
}

function unary<Request, Response>(answer: (request: Request, metadata: Metadata) => Promise<Response>) {
  return (call: ServerUnaryCall<Request, Response>, callback: sendUnaryData<Response>): void => {
    answer(call.request, call.metadata).then(
      (response) => callback(null, response),
      (error: unknown) => {
        if (error instanceof ControlError) callback({ code: error.code, details: error.details });
        else callback({ code: status.UNAVAILABLE, details: error instanceof Error ? error.message : String(error) });
      },
    );
  };
}

import { Metadata, type ServerUnaryCall, type ServerWritableStream, type sendUnaryData, status } from '@grpc/grpc-js';
import type { Bucket } from '../../proto/bus/bus.ts';
import type { ClusterView } from '../../proto/cluster-view.ts';
import type { ClusterConstraints__Output as ClusterConstraints } from '../../proto/generated/conclave/v1/ClusterConstraints.ts';
import type { ControlServiceHandlers } from '../../proto/generated/conclave/v1/ControlService.ts';
import type { DrainRequest__Output as DrainRequest } from '../../proto/generated/conclave/v1/DrainRequest.ts';
import type { GetStatusResponse } from '../../proto/generated/conclave/v1/GetStatusResponse.ts';
import type { ScaleRequest__Output as ScaleRequest } from '../../proto/generated/conclave/v1/ScaleRequest.ts';
import type { WatchEventsRequest__Output as WatchEventsRequest } from '../../proto/generated/conclave/v1/WatchEventsRequest.ts';
import type { WatchEventsResponse } from '../../proto/generated/conclave/v1/WatchEventsResponse.ts';
import type { ModelSpec } from '../../proto/messages.ts';
import { describePlan } from '../planner/describe.ts';
import { editConstraints, withDefaultReplicas, withDraining, withoutDraining, withReplicas } from './constraints.ts';
import type { EventLog } from './events.ts';
import type { ExpertLoadBook } from './expert-load.ts';
import type { Leader } from './leader.ts';

export interface ControlServiceOptions {
  readonly spec: ModelSpec;
  readonly view: ClusterView;
  readonly control: Bucket;
  readonly load: ExpertLoadBook;
  readonly events: EventLog;
  readonly status: () => GetStatusResponse;
  /** See Leader.planFor. */
  readonly planFor: Leader['planFor'];
  /** Milliseconds that scale and drain wait for the leader's plan. */
  readonly planDeadlineMs?: number;
}

/** Events of one watcher that wait for a slow reader; more are dropped. */
const MAX_UNREAD = 1_000;
const MAX_REPLICAS = 1_024;
/** Header of WatchEvents: how many of the first events are past ones. */
const BACKLOG_HEADER = 'conclave-backlog';

class ControlError extends Error {
  readonly code: status;
  readonly details: string;

  constructor(code: status, details: string) {
    super(details);
    this.code = code;
    this.details = details;
  }
}

/** ControlService on any controller: it changes what is asked on the bus, and the leader plans. */
export function controlService(options: ControlServiceOptions): ControlServiceHandlers {
  return {
    GetStatus: unary(async () => options.status()),
    GetModelSpec: unary(async () => ({ spec: options.spec })),
    GetPlan: unary(async () => {
      const { target } = options.view;
      if (target === null) throw new ControlError(status.NOT_FOUND, noPlan(options.status()));
      return { plan: target, description: describePlan(target, options.load.rates()) };
    }),
    Scale: unary(async (request: ScaleRequest) => ({ epoch: await scale(request, options) })),
    Drain: unary(async (request: DrainRequest) => ({ epoch: await drain(request, options) })),
    WatchEvents: (call) => watchEvents(call, options.events),
  };
}

async function scale(request: ScaleRequest, options: ControlServiceOptions): Promise<number> {
  const { replicas } = request;
  if (replicas < 1 || replicas > MAX_REPLICAS) {
    throw new ControlError(status.INVALID_ARGUMENT, `replicas: expected 1 to ${MAX_REPLICAS}, got ${replicas}`);
  }
  const experts = scaleTargets(request, options);
  return change(options, `${replicas} replicas`, (now) =>
    experts === 'all' ? withDefaultReplicas(now, replicas) : withReplicas(now, experts, replicas),
  );
}

function scaleTargets(
  request: ScaleRequest,
  { spec, load }: ControlServiceOptions,
): 'all' | readonly { readonly layer: number; readonly expert: number }[] {
  if (request.target === 'expert' && request.expert) {
    const { layer, expert } = request.expert;
    const experts = spec.layers[layer]?.moe?.experts.length;
    if (experts === undefined) {
      throw new ControlError(
        status.INVALID_ARGUMENT,
        `layer: expected a mixture-of-experts layer below ${spec.layers.length}, got ${layer}`,
      );
    }
    if (expert >= experts) {
      throw new ControlError(
        status.INVALID_ARGUMENT,
        `expert: layer ${layer} has experts 0 to ${experts - 1}, got ${expert}`,
      );
    }
    return [{ layer, expert }];
  }
  if (request.target === 'hot') {
    const hottest = load.hottest(request.hot ?? 0);
    if (hottest.length === 0) throw new ControlError(status.FAILED_PRECONDITION, 'hot: no load was measured yet');
    return hottest;
  }
  if (request.target === 'all' && request.all) return 'all';
  throw new ControlError(
    status.INVALID_ARGUMENT,
    'target: expected all, an expert or a count of hot ones, got nothing',
  );
}

async function drain({ workerId, cancel }: DrainRequest, options: ControlServiceOptions): Promise<number> {
  const { view } = options;
  if (!view.workers.has(workerId)) {
    const known = [...view.workers.keys()].sort().join(', ') || 'none';
    throw new ControlError(status.NOT_FOUND, `worker_id: no worker "${workerId}"; there are: ${known}`);
  }
  if (cancel) return change(options, `${workerId} is used again`, (now) => withoutDraining(now, workerId));
  return change(options, `${workerId} drained`, (now) => withDraining(now, workerId));
}

/** Refuses what cannot be planned, writes what is asked, and waits for the leader's plan. */
async function change(
  options: ControlServiceOptions,
  what: string,
  edit: (now: ClusterConstraints) => ClusterConstraints,
): Promise<number> {
  const { control, view, planFor, planDeadlineMs = 10_000 } = options;
  const { revision } = await editConstraints(control, (now) => {
    const wanted = edit(now);
    const result = planFor(wanted, 0, what, 'refuse');
    if (result.kind === 'infeasible') throw new ControlError(status.FAILED_PRECONDITION, result.problems.join('; '));
    return wanted;
  });
  const started = performance.now();
  for (;;) {
    const { target } = view;
    if (target !== null && target.constraintsRevision >= revision) return target.epoch;
    if (performance.now() - started > planDeadlineMs) {
      const leader = view.lease?.controllerId ?? 'none';
      throw new ControlError(
        status.UNAVAILABLE,
        `accepted, but the leader (${leader}) made no plan within ${planDeadlineMs} ms; it will when it is back`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
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
  return state.rollout?.error
    ? `there is no plan: ${state.rollout.error}`
    : 'there is no plan yet: no worker has joined';
}

function unary<Request, Response>(answer: (request: Request) => Promise<Response>) {
  return (call: ServerUnaryCall<Request, Response>, callback: sendUnaryData<Response>): void => {
    answer(call.request).then(
      (response) => callback(null, response),
      (error: unknown) => {
        if (error instanceof ControlError) callback({ code: error.code, details: error.details });
        else callback({ code: status.UNAVAILABLE, details: error instanceof Error ? error.message : String(error) });
      },
    );
  };
}

/** What operators change: it is checked against the plan that it would give, written on the bus, and planned by the leader. */
import { status } from '@grpc/grpc-js';
import type { Bucket } from '../../../platform/bus/bus.ts';
import type { ClusterView } from '../../../platform/membership/cluster-view.ts';
import type { Asked__Output as Asked } from '../../../proto/generated/conclave/v1/Asked.ts';
import type { ChangePreview } from '../../../proto/generated/conclave/v1/ChangePreview.ts';
import type { ClusterConstraints__Output as ClusterConstraints } from '../../../proto/generated/conclave/v1/ClusterConstraints.ts';
import type { CordonRequest__Output as CordonRequest } from '../../../proto/generated/conclave/v1/CordonRequest.ts';
import type { DrainRequest__Output as DrainRequest } from '../../../proto/generated/conclave/v1/DrainRequest.ts';
import type { ScaledExpert } from '../../../proto/generated/conclave/v1/ScaledExpert.ts';
import type { ScaleRequest__Output as ScaleRequest } from '../../../proto/generated/conclave/v1/ScaleRequest.ts';
import type { ModelSpec } from '../../../proto/messages.ts';
import type { WeightsFormat } from '../../../proto/weights-formats.ts';
import { modelFootprint } from '../../planner/input/memory.ts';
import type { Leader } from '../leader/leader.ts';
import type { ExpertLoadBook } from '../load/expert-load.ts';
import {
  asksOf,
  type ConstraintEdit,
  editConstraints,
  noConstraints,
  withCordon,
  withDefaultReplicas,
  withDraining,
  withoutCordon,
  withoutDraining,
  withReplicas,
} from '../requests/constraints.ts';
import { expertsText } from '../requests/requests.ts';
import { changePreview } from './change-preview.ts';
import { refusals } from './change-refusals.ts';
import { ControlError } from './control-error.ts';
import { replicasBefore, scaleTargets } from './scale-targets.ts';

export interface OperatorChangesOptions {
  readonly spec: ModelSpec;
  readonly weights: WeightsFormat;
  /** Replicas of every expert while operators asked for nothing. */
  readonly defaultReplicas: number;
  readonly view: ClusterView;
  readonly control: Bucket;
  readonly load: ExpertLoadBook;
  /** See Leader.planFor. */
  readonly planFor: Leader['planFor'];
  /** Milliseconds that a change waits for the leader's plan. */
  readonly planDeadlineMs?: number;
  /** Milliseconds since the epoch. */
  readonly wallClock: () => number;
}

/** What a change came to: the epoch of its plan, or what it would do. */
export interface ChangeOutcome {
  readonly epoch: number;
  readonly preview: ChangePreview | null;
  /** Who asked, and when; null for a dry run. */
  readonly asked: Asked | null;
}

type Edit = (now: ClusterConstraints, asked: Asked) => ConstraintEdit | null;

const MAX_REPLICAS = 1_024;

/** Changes replica counts, for `by`. */
export async function scale(
  request: ScaleRequest,
  by: string,
  options: OperatorChangesOptions,
): Promise<ChangeOutcome & { readonly experts: ScaledExpert[] }> {
  const { replicas, dryRun } = request;
  if (replicas < 1 || replicas > MAX_REPLICAS) {
    throw new ControlError(status.INVALID_ARGUMENT, `replicas: expected 1 to ${MAX_REPLICAS}, got ${replicas}`);
  }
  const experts = scaleTargets(request, options);
  const edit: Edit = (now, asked) => {
    if (experts === null) {
      const before = now.defaultReplicas || options.defaultReplicas;
      const dropped = now.overrides.length > 0 ? ', single experts too' : '';
      return {
        what: `scale replicas ${before} → ${replicas}${dropped}`,
        next: withDefaultReplicas(now, replicas, asked),
      };
    }
    const before = replicasBefore(now, experts, options.defaultReplicas);
    return {
      what: `scale replicas of ${expertsText(experts)} ${before} → ${replicas}`,
      next: withReplicas(now, experts, replicas, asked),
    };
  };
  const named = (experts ?? []).map((id) => ({ ...id, rowsPerSecond: options.load.rateOf(id) }));
  return { ...(await change(edit, by, dryRun, options)), experts: named };
}

/** Moves everything off a worker, or takes that back. */
export async function drain(
  { workerId, cancel, dryRun }: DrainRequest,
  by: string,
  options: OperatorChangesOptions,
): Promise<ChangeOutcome> {
  checkWorker(workerId, cancel, options);
  const edit: Edit = (now, asked) => {
    if (asksOf(now.draining, workerId) !== cancel) return null;
    return cancel
      ? { what: `cancel the drain of ${workerId}`, next: withoutDraining(now, workerId) }
      : { what: `drain ${workerId}`, next: withDraining(now, workerId, asked) };
  };
  return change(edit, by, dryRun, options);
}

/** Gives a worker nothing new, or takes that and a drain back. */
export async function cordon(
  { workerId, cancel }: CordonRequest,
  by: string,
  options: OperatorChangesOptions,
): Promise<ChangeOutcome> {
  checkWorker(workerId, cancel, options);
  const edit: Edit = (now, asked) => {
    const cordoned = asksOf(now.cordoned, workerId);
    if (!cancel) {
      return cordoned ? null : { what: `cordon ${workerId}`, next: withCordon(now, workerId, asked) };
    }
    if (!cordoned && !asksOf(now.draining, workerId)) return null;
    return { what: `uncordon ${workerId}`, next: withoutCordon(now, workerId) };
  };
  return change(edit, by, false, options);
}

/** A worker that is gone may still be named by what was asked: that can be taken back. */
function checkWorker(workerId: string, cancel: boolean, { view }: OperatorChangesOptions): void {
  const { draining, cordoned } = view.constraints?.value ?? noConstraints;
  const named = cancel && (asksOf(draining, workerId) || asksOf(cordoned, workerId));
  if (view.workers.has(workerId) || named) return;
  const known = [...view.workers.keys()].sort().join(', ') || 'none';
  throw new ControlError(status.NOT_FOUND, `worker_id: no worker "${workerId}"; there are: ${known}`);
}

/** Refuses what cannot be planned, writes what is asked, and waits for the leader's plan. */
async function change(
  edit: Edit,
  by: string,
  dryRun: boolean,
  options: OperatorChangesOptions,
): Promise<ChangeOutcome> {
  const { control, view, spec, weights, wallClock, planDeadlineMs = 10_000 } = options;
  const who = { by, atMs: wallClock() };
  if (dryRun) {
    const now = view.constraints?.value ?? noConstraints;
    const wanted = edit(now, { ...who, replacedRevision: 0 });
    const result = options.planFor(wanted?.next ?? now, Number.MAX_SAFE_INTEGER, wanted?.what ?? '');
    const refused = wanted === null ? [] : refusals(now, wanted.next, options);
    const preview = changePreview(modelFootprint(spec, weights), view.target, result, refused);
    return { epoch: 0, preview, asked: null };
  }
  const { revision, asked } = await editConstraints(control, who, (now, asked) => {
    const wanted = edit(now, asked);
    const refused = wanted === null ? [] : refusals(now, wanted.next, options);
    if (refused.length > 0) throw new ControlError(status.FAILED_PRECONDITION, refused.join('; '));
    return wanted;
  });
  const started = performance.now();
  for (;;) {
    const { target } = view;
    if (target !== null && target.constraintsRevision >= revision) return { epoch: target.epoch, preview: null, asked };
    if (performance.now() - started > planDeadlineMs) {
      const leader = view.lease?.controllerId || 'none';
      throw new ControlError(
        status.UNAVAILABLE,
        `accepted, but the leader (${leader}) made no plan within ${planDeadlineMs} ms; it will when it is back`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

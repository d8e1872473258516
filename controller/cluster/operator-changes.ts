/** What operators change: it is checked against the plan that it would give, written on the bus, and planned by the leader. */
import { status } from '@grpc/grpc-js';
import type { WeightsFormat } from '../../native/native.ts';
import type { Bucket } from '../../proto/bus/bus.ts';
import type { ClusterView } from '../../proto/cluster-view.ts';
import type { Asked__Output as Asked } from '../../proto/generated/conclave/v1/Asked.ts';
import type { ChangePreview } from '../../proto/generated/conclave/v1/ChangePreview.ts';
import type { ClusterConstraints__Output as ClusterConstraints } from '../../proto/generated/conclave/v1/ClusterConstraints.ts';
import type { CordonRequest__Output as CordonRequest } from '../../proto/generated/conclave/v1/CordonRequest.ts';
import type { DrainRequest__Output as DrainRequest } from '../../proto/generated/conclave/v1/DrainRequest.ts';
import type { ScaledExpert } from '../../proto/generated/conclave/v1/ScaledExpert.ts';
import type { ScaleRequest__Output as ScaleRequest } from '../../proto/generated/conclave/v1/ScaleRequest.ts';
import type { ModelSpec } from '../../proto/messages.ts';
import { modelFootprint } from '../planner/memory.ts';
import { changePreview } from './change-preview.ts';
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
} from './constraints.ts';
import { ControlError } from './control-error.ts';
import type { ExpertLoadBook } from './expert-load.ts';
import type { Leader } from './leader.ts';
import { clusterRequests, expertsText, unmet } from './requests.ts';

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

/** Null: every expert. */
function scaleTargets(
  request: ScaleRequest,
  { spec, load }: OperatorChangesOptions,
): readonly { readonly layer: number; readonly expert: number }[] | null {
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
    const count = request.hot ?? 0;
    const all = spec.layers.reduce((sum, { moe }) => sum + (moe?.experts.length ?? 0), 0);
    if (count < 1 || count > all) {
      throw new ControlError(
        status.INVALID_ARGUMENT,
        `hot: expected 1 to ${all}, the experts of the model, got ${count}`,
      );
    }
    const hottest = load.hottest(count);
    if (hottest.length === 0) throw new ControlError(status.FAILED_PRECONDITION, 'hot: no load was measured yet');
    if (hottest.length < count) {
      throw new ControlError(
        status.FAILED_PRECONDITION,
        `hot: only ${hottest.length} of the ${all} experts were asked for anything lately, got ${count}`,
      );
    }
    return hottest;
  }
  if (request.target === 'all' && request.all) return null;
  throw new ControlError(
    status.INVALID_ARGUMENT,
    'target: expected all, an expert or a count of hot ones, got nothing',
  );
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

/**
 * Why a change cannot be accepted: no plan, or one that does not give what is changed, or that takes away what plans give
 * now. What has to wait anyway stands in the way of nothing.
 */
function refusals(
  now: ClusterConstraints,
  wanted: ClusterConstraints,
  { spec, defaultReplicas, planFor }: OperatorChangesOptions,
): readonly string[] {
  // Of the revision that none has: it carries out all that is asked.
  const planned = (constraints: ClusterConstraints) => planFor(constraints, Number.MAX_SAFE_INTEGER, '');
  const result = planned(wanted);
  if (result.kind === 'infeasible') return result.problems;
  const without = (constraints: ClusterConstraints, plan: typeof result): ReadonlySet<string> =>
    unmet(plan.plan, clusterRequests(spec, defaultReplicas, constraints));
  const missing = without(wanted, result);
  if (missing.size === 0) return [];
  const before = planned(now);
  const waiting = before.kind === 'infeasible' ? new Set<string>() : without(now, before);
  const lost = [...missing].filter((key) => !waiting.has(key));
  return lost.length === 0
    ? []
    : result.shortfalls.length > 0
      ? result.shortfalls
      : [`no plan gives ${lost.join(', ')}`];
}

/** "1", or "1 to 3". */
function replicasBefore(
  now: ClusterConstraints,
  experts: readonly { readonly layer: number; readonly expert: number }[],
  defaultReplicas: number,
): string {
  const counts = experts.map(
    ({ layer, expert }) =>
      now.overrides.find((override) => override.experts.some((id) => id.layer === layer && id.expert === expert))
        ?.replicas ??
      (now.defaultReplicas || defaultReplicas),
  );
  const [least, most] = [Math.min(...counts), Math.max(...counts)];
  return least === most ? String(least) : `${least} to ${most}`;
}

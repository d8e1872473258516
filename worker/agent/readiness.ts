import type { ClusterView } from '../../platform/membership/cluster-view.ts';
import type { HeldSlices } from '../plan/expert-routes.ts';
import { plannedRanks, plannedSlots } from '../plan/plan-slots.ts';

/** Whether a worker does what the cluster wants of it, for probes and people. */
export interface Readiness {
  readonly ready: boolean;
  /** Why not; empty when it is. */
  readonly reasons: readonly string[];
  /** What operators should know although it is. */
  readonly notices: readonly string[];
}

export interface ReadinessInput {
  readonly workerId: string;
  readonly startedAtMs: number;
  readonly address: string;
  readonly view: Pick<ClusterView, 'target' | 'committed' | 'missing' | 'constraints'>;
  /** Slots that answer now. */
  readonly held: readonly HeldSlices[];
  /** Pipelines whose rank here is ready. */
  readonly readyPipelines: readonly string[];
  /** Why the target plan cannot be carried out here; null while it can. */
  readonly error: string | null;
  /** It was asked to end. */
  readonly draining: boolean;
  readonly busConnected: boolean;
  /** Milliseconds since it joined. */
  readonly joinedForMs: number;
}

/** A plan that names a new worker is made well within this time; one that gets nothing for so long is a spare. */
const SPARE_MS = 10_000;

/**
 * A worker is ready when it holds everything that the plan in force gives it and the leader does not miss it. One that the
 * plan gives nothing is a spare, and ready: it is there as soon as a plan wants it.
 */
export function readiness(input: ReadinessInput): Readiness {
  const reasons = [...missed(input), ...leaves(input), ...lacks(input)];
  return { ready: reasons.length === 0, reasons, notices: notices(input) };
}

function missed({ workerId, startedAtMs, address, view }: ReadinessInput): readonly string[] {
  const entry = view.missing.value.find(
    (missing) => missing.workerId === workerId && missing.startedAtMs === startedAtMs,
  );
  if (entry === undefined) return [];
  return [`the leader does not reach it at ${address}: ${entry.reason}`];
}

function leaves({ workerId, draining, view }: ReadinessInput): readonly string[] {
  if (draining) return ['it is shutting down'];
  const asked = view.constraints?.value.draining.some((drain) => drain.workerId === workerId) ?? false;
  return asked ? ['an operator drains it'] : [];
}

/** What the plan in force, or before the first one the target plan, gives it and it does not hold. */
function lacks(input: ReadinessInput): readonly string[] {
  const { workerId, view, error, joinedForMs } = input;
  const plan = names(view.committed, workerId) ? view.committed : view.target;
  if (plan === null) return ['there is no plan yet'];
  if (!names(plan, workerId)) {
    return joinedForMs < SPARE_MS ? [`no plan names it yet; it joined ${Math.floor(joinedForMs / 1_000)} s ago`] : [];
  }
  const held = new Set(
    input.held.flatMap(({ layer, slices, sliceIds }) => sliceIds.map((sliceId) => `${layer}/${slices}/${sliceId}`)),
  );
  const slots = plannedSlots(plan, workerId);
  const there = slots.filter(({ layer, slices, expert, slice }) =>
    held.has(`${layer}/${slices}/${expert * slices + slice}`),
  );
  const pipelines = plannedRanks(plan, workerId).map(({ pipeline }) => pipeline);
  const unready = pipelines.filter((pipeline) => !input.readyPipelines.includes(pipeline));
  const parts = [
    ...(there.length < slots.length ? [`${there.length} of ${slots.length} expert slots are loaded`] : []),
    ...unready.map((pipeline) => `its part of pipeline ${pipeline} is not ready`),
  ];
  if (parts.length === 0) return [];
  return [`plan ${plan.epoch}: ${parts.join(', ')}${error === null ? '' : `: ${error}`}`];
}

function notices({ workerId, view, error, busConnected }: ReadinessInput): readonly string[] {
  const { target, committed } = view;
  const spare = target !== null && !names(target, workerId) && !names(committed, workerId);
  const loads = target !== null && committed !== null && target.epoch !== committed.epoch && names(target, workerId);
  return [
    ...(spare ? ['the plan gives it nothing: it is a spare'] : []),
    ...(loads ? [`plan ${target.epoch} is being rolled out${error === null ? '' : `: ${error}`}`] : []),
    ...(busConnected ? [] : ['the bus is away: it goes on with the plan that it has']),
  ];
}

function names(plan: ClusterView['target'], workerId: string): boolean {
  return plan?.workers.some(({ id }) => id === workerId) ?? false;
}

import { isDeepStrictEqual } from 'node:util';
import type { Condition } from '../resources/conditions.ts';
import type { Happening, Status, Step } from './step.ts';

/** Conditions, by type and reason, that are published as events when they begin. */
const events: Readonly<Record<string, string>> = {
  'Accepted/InvalidSpec': 'SPEC_REJECTED',
  'Accepted/ModelNotFound': 'MODEL_NOT_FOUND',
  'Served/ControllersDiffer': 'MODEL_NOT_SERVED',
  'Served/ControllersRestarting': 'CONTROLLERS_RESTARTING',
  'Served/Refused': 'MODEL_NOT_SERVED',
  'Served/NotServed': 'MODEL_NOT_SERVED',
  'Progressing/DrainRefused': 'SCALE_IN_BLOCKED',
  'Progressing/LastHolder': 'UPDATE_BLOCKED',
  'Progressing/UpdateStuck': 'UPDATE_BLOCKED',
  'Progressing/PodNotReady': 'POD_NOT_READY',
  'ExpertReplicasApplied/NotAsked': 'EXPERT_REPLICAS_NOT_APPLIED',
  'ExpertReplicasApplied/Pending': 'EXPERT_REPLICAS_NOT_APPLIED',
};

/** Those that are as they should be. */
const normal: ReadonlySet<string> = new Set(['CONTROLLERS_RESTARTING']);

/** Fields that are measured: when nothing else has changed, they are written from time to time only. */
const measured: ReadonlySet<string> = new Set([
  ...['tokensPerSecond', 'running', 'waiting', 'imbalance', 'hottestExperts', 'rollout'],
]);

/**
 * Writes a status that says something new, and tells of what is newly wrong. `before` is the status as it was seen.
 */
export function statusSteps(
  before: Readonly<Record<string, unknown>> & { readonly conditions: readonly Condition[] },
  status: Status,
  measuredDue: boolean,
): readonly Step[] {
  const happenings = newlyWrong(before.conditions, status.conditions);
  const relevant = (all: Readonly<Record<string, unknown>>) =>
    Object.fromEntries(
      Object.entries(all).filter(([key, value]) => value !== undefined && (measuredDue || !measured.has(key))),
    );
  const changed = !isDeepStrictEqual(relevant({ ...before, ...status }), relevant(before)) || gone(before, status);
  return [
    ...happenings.map((event): Step => ({ kind: 'event', event })),
    ...(changed ? [{ kind: 'status', status } as const] : []),
  ];
}

function gone(before: Readonly<Record<string, unknown>>, status: Status): boolean {
  return Object.keys(before).some((key) => !measured.has(key) && status[key] === undefined);
}

function newlyWrong(before: readonly Condition[], now: readonly Condition[]): readonly Happening[] {
  return now.flatMap(({ type, status, reason, message }) => {
    const code = events[`${type}/${reason}`];
    const old = before.find((condition) => condition.type === type);
    if (code === undefined || (old?.reason === reason && old.status === status)) return [];
    return [{ code, warning: !normal.has(code), message }];
  });
}

import { podName } from '../resources/names.ts';
import type { ObservedWorkers } from './observed.ts';
import type { Progress } from './progress.ts';
import { drainSteps, type Step } from './step.ts';

export interface ScaleIn {
  readonly steps: readonly Step[];
  /** Replicas that the StatefulSet may have now: it ends pods from the highest ordinal on. */
  readonly replicas: number;
  readonly progress: Progress;
}

/**
 * From `from` pods to `to`: workers are drained from the highest ordinal on, each checked against what those before it left, and the
 * StatefulSet shrinks past those that hold nothing.
 */
export function scaleIn(set: string, from: number, to: number, workers: ObservedWorkers): ScaleIn {
  const going = Array.from({ length: from - to }, (_, i) => podName(set, from - 1 - i));
  const held = going.findIndex((worker) => workers.holds(worker));
  const replicas = held < 0 ? to : from - held;
  const next = going.find((worker) => workers.holds(worker) && workers.drainedBy(worker) === null);
  const refusals = next === undefined ? [] : workers.drainRefusals(next);
  if (next !== undefined && refusals.length > 0) {
    const message = `${next} cannot be drained, so it stays: ${refusals.join('; ')}`;
    return { steps: [], replicas, progress: { reason: 'DrainRefused', message, blocked: true } };
  }
  const moving = going.filter((worker) => workers.holds(worker));
  const message =
    moving.length === 0 ? `${from} → ${to} pods` : `${moving.join(', ')} must hold nothing before they go`;
  return {
    steps: next === undefined ? [] : drainSteps(next, 'its pod is about to go'),
    replicas,
    progress: { reason: 'ScalingIn', message, blocked: false },
  };
}

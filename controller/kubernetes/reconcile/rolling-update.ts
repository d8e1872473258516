import { podName, type Role } from '../resources/names.ts';
import type { ObservedPod, ObservedSet, ObservedWorkers } from './observed.ts';
import { idle, type Progress } from './progress.ts';
import { drainSteps, type Step } from './step.ts';

export interface UpdateInput {
  readonly set: { readonly name: string; readonly role: Role; readonly replicas: number };
  readonly observed: ObservedSet;
  readonly workers: ObservedWorkers;
  /** Who drains for this set. */
  readonly by: string;
  /** Why no pod of this set may be taken now; null: one may. */
  readonly busyElsewhere: string | null;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

export interface UpdateStep {
  readonly steps: readonly Step[];
  /** One pod more is needed until the update is done. */
  readonly surge: boolean;
  /** The worker that is being taken. */
  readonly candidate: string | null;
  readonly progress: Progress;
}

/** How long the update waits for an extra pod that finds no node. */
const SURGE_PATIENCE_MS = 60_000;

/**
 * Replaces pods that are not as the template says, one at a time. A worker is drained, then its pod is deleted, then the next one waits
 * until the new pod is ready. Where the others have no room for what a worker holds, one pod more is made first; where no node has
 * room for that, a pod goes all the same if others hold every expert that it does: its rows go to them meanwhile.
 */
export function rollingUpdate(input: UpdateInput): UpdateStep {
  const { set, observed, workers } = input;
  const { updateRevision = null, surgeSince = null, replicas = 0 } = observed.statefulSet ?? {};
  const surge = surgeSince !== null;
  const pods = observed.pods.filter(({ ordinal }) => ordinal < set.replicas);
  const stale = pods.filter(({ revision }) => revision !== updateRevision).sort((a, b) => b.ordinal - a.ordinal);
  const wait = (reason: string, message: string, candidate: string | null = null): UpdateStep => ({
    ...{ steps: [], surge, candidate, progress: { reason, message, blocked: false } },
  });
  if (updateRevision === null) return wait('Updating', 'the API server has not seen the newest template yet');
  const missing = Math.min(set.replicas, replicas) - pods.length;
  // A worker that somebody else drains is not ready, and is not waited for.
  const coming = pods.find(
    ({ name, ready, terminating }) => terminating || (!ready && workers.drainedBy(name) === null),
  );
  if (stale.length === 0) {
    // The extra pod stays until the last new one can do without it.
    const last = surge && (missing > 0 || coming !== undefined);
    return last
      ? wait('Updating', `waiting for ${coming?.name ?? 'the last pod'}`)
      : { ...wait('', ''), surge: false, progress: idle };
  }

  const taken = stale.find(({ name }) => workers.drainedBy(name) === input.by);
  if (taken !== undefined) return take(taken, surge, workers, wait);
  const broken = stale.find(({ name, ready, terminating }) => !ready && !terminating && !workers.holds(name));
  if (broken !== undefined) return replace(broken, surge, 'it is not ready and holds nothing');
  if (missing > 0) return wait('Updating', `${missing} pods are about to be made`);
  if (coming !== undefined) return waitFor(coming, wait);
  if (input.busyElsewhere !== null) return wait('Updating', input.busyElsewhere);

  const [candidate] = stale;
  if (candidate === undefined) return wait('Updating', 'nothing to replace');
  const { name } = candidate;
  if (!workers.holds(name)) return replace(candidate, surge, 'it holds nothing');
  if (!workers.settled) return wait('Updating', `${name} is next, once the newest plan is in force`);
  const refusals = workers.drainRefusals(name);
  if (refusals.length > 0) return withoutRoom(candidate, refusals, input, wait);
  const progress = { reason: 'Updating', message: `${name} is being drained`, blocked: false };
  return { steps: drainSteps(name, 'its pod is about to be replaced'), surge, candidate: name, progress };
}

type Wait = (reason: string, message: string, candidate?: string | null) => UpdateStep;

/** A worker that is drained for this update. */
function take(pod: ObservedPod, surge: boolean, workers: ObservedWorkers, wait: Wait): UpdateStep {
  if (pod.terminating) return wait('Updating', `${pod.name} is about to be made again`, pod.name);
  if (workers.holds(pod.name)) return wait('Updating', `${pod.name} is being drained`, pod.name);
  return replace(pod, surge, 'it is drained');
}

/** A pod that is coming or going. What does not come up is left for people to look at. */
function waitFor(pod: ObservedPod, wait: Wait): UpdateStep {
  if (pod.problem === null || pod.terminating) return wait('Updating', `waiting for ${pod.name}`);
  const step = wait('UpdateStuck', `${pod.name} does not become ready: ${pod.problem}`);
  return { ...step, progress: { ...step.progress, blocked: true } };
}

/** The others cannot take what a worker holds. */
function withoutRoom(pod: ObservedPod, refusals: readonly string[], input: UpdateInput, wait: Wait): UpdateStep {
  const { set, observed, workers, now } = input;
  const why = `${pod.name} cannot be drained (${refusals.join('; ')})`;
  const since = observed.statefulSet?.surgeSince ?? null;
  if (since === null) {
    return { ...wait('Updating', `${why}: one pod more is made first`), surge: true };
  }
  const extra = observed.pods.find(({ ordinal }) => ordinal === set.replicas);
  // No node has room for it, or no quota.
  const homeless = extra === undefined || extra.unschedulable;
  if (!(extra?.ready ?? false) && !(homeless && now - since >= SURGE_PATIENCE_MS)) {
    return wait('Updating', `${why}: waiting for ${podName(set.name, set.replicas)}`);
  }
  const only = workers.onlyHolderOf(pod.name);
  if (only === null) return replace(pod, true, `${why}, and others hold its experts`);
  const step = wait(
    'LastHolder',
    `${why}, and nobody else holds ${only}: make room for one pod more, or for more replicas`,
  );
  return { ...step, progress: { ...step.progress, blocked: true } };
}

function replace({ name, uid }: ObservedPod, surge: boolean, why: string): UpdateStep {
  const message = `${name} is replaced: ${why}`;
  return {
    steps: [
      { kind: 'deletePod', pod: name, uid },
      { kind: 'event', event: { code: 'POD_REPLACED', warning: false, message } },
    ],
    surge,
    candidate: name,
    progress: { reason: 'Updating', message, blocked: false },
  };
}

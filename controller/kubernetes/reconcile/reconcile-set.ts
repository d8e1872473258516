import type { SetObjects } from '../desired/set-objects.ts';
import { annotations, ordinalOf, podName } from '../resources/names.ts';
import type { KubeObject } from '../resources/objects.ts';
import { goesOn, idle, type Progress } from './progress.ts';
import { rollingUpdate, type UpdateInput } from './rolling-update.ts';
import { scaleIn } from './scale-in.ts';
import type { Step } from './step.ts';

export interface SetInput extends UpdateInput {
  readonly objects: SetObjects;
  /** Names the controller and its term: a new leader writes every object once, so that what the one before decided finds another version. */
  readonly operator: string;
  /** Workers that a drain is asked for by this set. */
  readonly drained: readonly string[];
}

export interface SetOutcome {
  readonly steps: readonly Step[];
  readonly progress: Progress;
}

/** What to do so that a set becomes as it is wanted, without harm to what runs. */
export function reconcileSet(input: SetInput): SetOutcome {
  const { set, observed, objects } = input;
  const { statefulSet } = observed;
  const update = rollingUpdate(input);
  const wanted = set.replicas + (update.surge ? 1 : 0);
  const surroundings = [
    ...applyWhere(objects.service, observed.service),
    ...applyWhere(objects.budget, observed.budget),
  ];
  if (statefulSet === null) {
    const created = stated(input, wanted, false);
    const progress = { reason: 'ScalingOut', message: `0 → ${wanted} pods`, blocked: false };
    return { steps: [...surroundings, { kind: 'apply', object: created }], progress };
  }
  const shrink = wanted < statefulSet.replicas ? scaleIn(set.name, statefulSet.replicas, wanted, input.workers) : null;
  const replicas = shrink?.replicas ?? wanted;
  const asApplied =
    statefulSet.applied === objects.statefulSet.metadata.annotations?.[annotations.applied] &&
    statefulSet.operator === input.operator &&
    statefulSet.replicas === replicas &&
    (statefulSet.surgeSince !== null) === update.surge;
  const steps: readonly Step[] = [
    ...surroundings,
    ...(asApplied ? [] : [{ kind: 'apply', object: stated(input, replicas, update.surge) } as const]),
    ...released(input, replicas, update.candidate, wanted),
    ...(shrink?.steps ?? []),
    ...update.steps,
  ];
  return { steps, progress: worst([shrink?.progress ?? idle, update.progress, coming(input, replicas)]) };
}

function applyWhere(object: KubeObject, applied: string | null): readonly Step[] {
  return applied === object.metadata.annotations?.[annotations.applied] ? [] : [{ kind: 'apply', object }];
}

/** The StatefulSet with what is decided now. It is written only to the one that was seen. */
function stated({ objects, observed, operator, now }: SetInput, replicas: number, surge: boolean): KubeObject {
  const { statefulSet } = objects;
  const { resourceVersion, surgeSince } = observed.statefulSet ?? {};
  return {
    ...statefulSet,
    metadata: {
      ...statefulSet.metadata,
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
      annotations: {
        ...statefulSet.metadata.annotations,
        [annotations.operator]: operator,
        ...(surge ? { [annotations.surge]: new Date(surgeSince ?? now).toISOString() } : {}),
      },
    },
    spec: { ...statefulSet.spec, replicas },
  };
}

/** Drains that have served: of workers that stay or are back as new pods, and of those that are gone. */
function released(input: SetInput, replicas: number, candidate: string | null, wanted: number): readonly Step[] {
  const { set, observed, workers, drained } = input;
  const steps = drained.flatMap((worker): readonly Step[] => {
    const ordinal = ordinalOf(set.name, worker);
    if (ordinal === null || worker === candidate) return [];
    const pod = observed.pods.find(({ name }) => name === worker);
    const gone = ordinal >= replicas && pod === undefined && !workers.present(worker);
    return gone || ordinal < wanted ? [{ kind: 'undrain', worker }] : [];
  });
  const forgotten = Array.from({ length: 64 }, (_, i) => podName(set.name, replicas + i)).filter(
    (worker) => workers.lost(worker) && observed.pods.every(({ name }) => name !== worker),
  );
  return [...steps, ...forgotten.map((worker): Step => ({ kind: 'forget', worker }))];
}

/** Pods that are not there or not ready. */
function coming({ observed: { pods }, workers }: SetInput, replicas: number): Progress {
  const missing = replicas - pods.filter(({ ordinal }) => ordinal < replicas).length;
  if (missing > 0) return { reason: 'ScalingOut', message: `${missing} pods are about to be made`, blocked: false };
  const pod = pods.find(({ name, ready, terminating }) => !ready && !terminating && workers.drainedBy(name) === null);
  if (pod === undefined) return idle;
  const message = `${pod.name} is not ready${pod.problem === null ? '' : `: ${pod.problem}`}`;
  return { reason: pod.problem === null ? 'ScalingOut' : 'PodNotReady', message, blocked: pod.problem !== null };
}

/** What people should know first: what is blocked, then what goes on. */
function worst(all: readonly Progress[]): Progress {
  return all.find(({ blocked }) => blocked) ?? all.find(goesOn) ?? idle;
}

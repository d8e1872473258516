/** What the objects of a set say, as decisions need it. */
import { z } from 'zod';
import type { ObservedPod, ObservedSet } from '../reconcile/observed.ts';
import { annotations, ordinalOf } from '../resources/names.ts';
import { metadataSchema } from '../resources/objects.ts';

export const plainSchema = z.object({ metadata: metadataSchema });
export type PlainObject = z.output<typeof plainSchema>;

export const statefulSetSchema = z.object({
  metadata: metadataSchema,
  spec: z.object({ replicas: z.number().default(1) }),
  status: z.object({ observedGeneration: z.number().default(0), updateRevision: z.string().optional() }).prefault({}),
});
export type StatefulSet = z.output<typeof statefulSetSchema>;

const state = z.object({
  waiting: z.object({ reason: z.string().default(''), message: z.string().default('') }).optional(),
  terminated: z.object({ reason: z.string().default(''), message: z.string().default('') }).optional(),
});
const container = z.object({ state: state.default({}), restartCount: z.number().default(0) });
const condition = z.object({
  type: z.string(),
  status: z.string(),
  reason: z.string().default(''),
  message: z.string().default(''),
});

export const podSchema = z.object({
  metadata: metadataSchema,
  status: z
    .object({
      phase: z.string().default(''),
      conditions: z.array(condition).default([]),
      initContainerStatuses: z.array(container).default([]),
      containerStatuses: z.array(container).default([]),
    })
    .prefault({}),
});
export type Pod = z.output<typeof podSchema>;

/** Reasons for which a container that waits is about to run. */
const normal: ReadonlySet<string> = new Set(['', 'ContainerCreating', 'PodInitializing']);

export interface SetParts {
  readonly statefulSet: StatefulSet | undefined;
  readonly service: PlainObject | undefined;
  readonly budget: PlainObject | undefined;
  readonly pods: Iterable<Pod>;
}

/** A set as it is; `revisionOf` is the label that StatefulSets give their pods. */
export function observedSet(name: string, { statefulSet, service, budget, pods }: SetParts): ObservedSet {
  const applied = (object: PlainObject | undefined) => object?.metadata.annotations[annotations.applied] ?? null;
  return {
    statefulSet: statefulSet === undefined ? null : observedStatefulSet(statefulSet),
    service: applied(service),
    budget: applied(budget),
    pods: [...pods].flatMap((pod) => observedPod(name, pod)).sort((a, b) => a.ordinal - b.ordinal),
  };
}

function observedStatefulSet({ metadata, spec, status }: StatefulSet): NonNullable<ObservedSet['statefulSet']> {
  const seen = status.observedGeneration >= metadata.generation;
  return {
    resourceVersion: metadata.resourceVersion,
    replicas: spec.replicas,
    applied: metadata.annotations[annotations.applied] ?? null,
    operator: metadata.annotations[annotations.operator] ?? null,
    surgeSince: timeOf(metadata.annotations[annotations.surge]),
    updateRevision: seen ? (status.updateRevision ?? null) : null,
  };
}

/** Milliseconds since the epoch; null: none is given. */
function timeOf(text: string | undefined): number | null {
  const at = Date.parse(text ?? '');
  return Number.isFinite(at) ? at : null;
}

function observedPod(set: string, { metadata, status }: Pod): readonly ObservedPod[] {
  const ordinal = ordinalOf(set, metadata.name);
  if (ordinal === null) return [];
  const conditionOf = (type: string) => status.conditions.find((other) => other.type === type);
  const scheduled = conditionOf('PodScheduled');
  const unschedulable = scheduled?.status === 'False' && scheduled.reason === 'Unschedulable';
  return [
    {
      name: metadata.name,
      uid: metadata.uid,
      ordinal,
      revision: metadata.labels['controller-revision-hash'] ?? '',
      ready: conditionOf('Ready')?.status === 'True',
      terminating: metadata.deletionTimestamp !== undefined,
      unschedulable,
      problem: unschedulable ? `Unschedulable: ${scheduled.message}` : containerProblem(status),
    },
  ];
}

function containerProblem({ initContainerStatuses, containerStatuses }: Pod['status']): string | null {
  for (const { state } of [...initContainerStatuses, ...containerStatuses]) {
    const { waiting } = state;
    if (waiting !== undefined && !normal.has(waiting.reason)) {
      return waiting.message === '' ? waiting.reason : `${waiting.reason}: ${waiting.message}`;
    }
  }
  return null;
}

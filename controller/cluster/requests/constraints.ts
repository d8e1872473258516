import type { Bucket } from '../../../platform/bus/bus.ts';
import { CONSTRAINTS } from '../../../platform/bus/subjects.ts';
import type { Asked__Output as Asked } from '../../../proto/generated/conclave/v1/Asked.ts';
import type { ClusterConstraints__Output as ClusterConstraints } from '../../../proto/generated/conclave/v1/ClusterConstraints.ts';
import type { ExpertId__Output as ExpertId } from '../../../proto/generated/conclave/v1/ExpertId.ts';
import { conclave, decode, encode } from '../../../proto/messages.ts';

/** Attempts at a compare-and-set that others keep winning. */
const ATTEMPTS = 20;
/** Changes that are kept. */
const CHANGES = 16;

/** What stands while operators asked for nothing. */
export const noConstraints: ClusterConstraints = {
  defaultReplicas: 0,
  defaultAsked: null,
  overrides: [],
  draining: [],
  cordoned: [],
  changes: [],
};

/** One change: what it is called, and the constraints with it. Null: they say so already. */
export interface ConstraintEdit {
  readonly what: string;
  readonly next: ClusterConstraints;
}

/**
 * Changes what operators ask of the cluster. `edit` may run several times: it sees what stands on the bus and says what
 * should. Returns the revision from which on that stands, and who asked; null when it stood already.
 */
export async function editConstraints(
  bucket: Bucket,
  who: { readonly by: string; readonly atMs: number },
  edit: (now: ClusterConstraints, asked: Asked) => ConstraintEdit | null,
): Promise<{ readonly revision: number; readonly asked: Asked | null }> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const entry = await bucket.get(CONSTRAINTS);
    const asked = { ...who, replacedRevision: entry?.revision ?? 0 };
    const now = entry === null ? noConstraints : decode(conclave.ClusterConstraints, entry.value);
    const change = edit(now, asked);
    if (change === null) return { revision: asked.replacedRevision, asked: null };
    const changes = [...now.changes, { what: change.what, asked }].slice(-CHANGES);
    const bytes = encode(conclave.ClusterConstraints, { ...change.next, changes });
    const revision = await (entry === null
      ? bucket.create(CONSTRAINTS, bytes)
      : bucket.update(CONSTRAINTS, bytes, entry.revision));
    if (revision !== null) return { revision, asked };
  }
  throw new Error(`the constraints changed ${ATTEMPTS} times while they were being edited; try again`);
}

/** One replica count for every expert; what was set for single experts is dropped. */
export function withDefaultReplicas(now: ClusterConstraints, replicas: number, asked: Asked): ClusterConstraints {
  return { ...now, defaultReplicas: replicas, defaultAsked: asked, overrides: [] };
}

/** A replica count for some experts. */
export function withReplicas(
  now: ClusterConstraints,
  experts: readonly ExpertId[],
  replicas: number,
  asked: Asked,
): ClusterConstraints {
  const named = new Set(experts.map(expertKey));
  const others = now.overrides
    .map((override) => ({ ...override, experts: override.experts.filter((id) => !named.has(expertKey(id))) }))
    .filter((override) => override.experts.length > 0);
  return { ...now, overrides: [...others, { replicas, experts: [...experts], asked }] };
}

/** A worker that must hold nothing. */
export function withDraining(now: ClusterConstraints, workerId: string, asked: Asked): ClusterConstraints {
  return { ...now, draining: [...without(now.draining, workerId), { workerId, asked }].sort(byWorker) };
}

/** A worker that keeps what it has and gets nothing new. */
export function withCordon(now: ClusterConstraints, workerId: string, asked: Asked): ClusterConstraints {
  return { ...now, cordoned: [...without(now.cordoned, workerId), { workerId, asked }].sort(byWorker) };
}

/** Takes a drain back. */
export function withoutDraining(now: ClusterConstraints, workerId: string): ClusterConstraints {
  return { ...now, draining: without(now.draining, workerId) };
}

/** Takes a cordon and a drain back. */
export function withoutCordon(now: ClusterConstraints, workerId: string): ClusterConstraints {
  return { ...withoutDraining(now, workerId), cordoned: without(now.cordoned, workerId) };
}

/** Whether something is asked of a worker. */
export function asksOf(requests: ClusterConstraints['draining'], workerId: string): boolean {
  return requests.some((request) => request.workerId === workerId);
}

/** Key of an expert in sets and maps. */
export function expertKey({ layer, expert }: ExpertId): string {
  return `${layer}/${expert}`;
}

function without(requests: ClusterConstraints['draining'], workerId: string): ClusterConstraints['draining'] {
  return requests.filter((request) => request.workerId !== workerId);
}

function byWorker(a: { readonly workerId: string }, b: { readonly workerId: string }): number {
  return a.workerId < b.workerId ? -1 : 1;
}

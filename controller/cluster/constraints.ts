import type { Bucket } from '../../proto/bus/bus.ts';
import { CONSTRAINTS } from '../../proto/bus/subjects.ts';
import type { ClusterConstraints__Output as ClusterConstraints } from '../../proto/generated/conclave/v1/ClusterConstraints.ts';
import { conclave, decode, encode } from '../../proto/messages.ts';

/** Attempts at a compare-and-set that others keep winning. */
const ATTEMPTS = 20;

const none: ClusterConstraints = { defaultReplicas: 0, overrides: [], draining: [] };

/**
 * Changes what operators ask of the cluster. `edit` may run several times: it sees what stands on the bus and says what
 * should. Returns the constraints as they are now and their revision.
 */
export async function editConstraints(
  bucket: Bucket,
  edit: (now: ClusterConstraints) => ClusterConstraints | Promise<ClusterConstraints>,
): Promise<{ readonly value: ClusterConstraints; readonly revision: number }> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const entry = await bucket.get(CONSTRAINTS);
    const value = await edit(entry === null ? none : decode(conclave.ClusterConstraints, entry.value));
    const bytes = encode(conclave.ClusterConstraints, value);
    const revision = await (entry === null
      ? bucket.create(CONSTRAINTS, bytes)
      : bucket.update(CONSTRAINTS, bytes, entry.revision));
    if (revision !== null) return { value, revision };
  }
  throw new Error(`the constraints changed ${ATTEMPTS} times while they were being edited; try again`);
}

/** One replica count for every expert; what was set for single experts is dropped. */
export function withDefaultReplicas(now: ClusterConstraints, replicas: number): ClusterConstraints {
  return { ...now, defaultReplicas: replicas, overrides: [] };
}

/** A replica count for some experts. */
export function withReplicas(
  now: ClusterConstraints,
  experts: readonly { readonly layer: number; readonly expert: number }[],
  replicas: number,
): ClusterConstraints {
  const named = new Set(experts.map(({ layer, expert }) => `${layer}/${expert}`));
  const others = now.overrides.filter(({ layer, expert }) => !named.has(`${layer}/${expert}`));
  return { ...now, overrides: [...others, ...experts.map(({ layer, expert }) => ({ layer, expert, replicas }))] };
}

/** A worker that must hold nothing. */
export function withDraining(now: ClusterConstraints, workerId: string): ClusterConstraints {
  return { ...now, draining: [...new Set([...now.draining, workerId])].sort() };
}

/** Takes a drain back. */
export function withoutDraining(now: ClusterConstraints, workerId: string): ClusterConstraints {
  return { ...now, draining: now.draining.filter((id) => id !== workerId) };
}

/** Forgets drains of workers that are gone, so that they are used again when they come back. */
export function withoutGone(now: ClusterConstraints, present: ReadonlySet<string>): ClusterConstraints {
  return { ...now, draining: now.draining.filter((id) => present.has(id)) };
}

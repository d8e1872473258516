import type { ObservedSet } from './observed.ts';

/** A set of the model, in the order in which sets are updated. */
export interface SetInOrder {
  readonly name: string;
  readonly observed: ObservedSet;
  /** A worker of it is being drained for its set. */
  readonly draining: boolean;
}

/**
 * Why a set must not take a worker now: another one is taking one, or comes first. So one worker of the model goes at a time.
 */
export function busyElsewhere(set: string, sets: readonly SetInOrder[]): string | null {
  const own = sets.findIndex(({ name }) => name === set);
  for (const [index, { name, observed, draining }] of sets.entries()) {
    if (name === set) continue;
    if (draining) return `a worker of ${name} is being drained`;
    const leaving = observed.pods.find(({ terminating }) => terminating);
    if (leaving !== undefined) return `${leaving.name} is about to be made again`;
    const stale = observed.pods.some(({ revision }) => revision !== observed.statefulSet?.updateRevision);
    if (index < own && stale) return `${name} is updated first`;
  }
  return null;
}

import type { AskedReplicas } from '../../cluster/control/managed-changes.ts';
import type { Condition } from '../resources/conditions.ts';
import type { KubeObject } from '../resources/objects.ts';

/** The object that a step is about. */
export interface Subject {
  readonly kind: 'MoEModel' | 'ExpertPool';
  readonly name: string;
}

/** One thing to do. Steps are done in order; when one fails, those after it are not done, and all is looked at again. */
export type Step =
  /** Server-side apply. With `resourceVersion` in its metadata, only to the object as it was seen. */
  | { readonly kind: 'apply'; readonly object: KubeObject }
  /** Moves everything off a worker. */
  | { readonly kind: 'drain'; readonly worker: string }
  /** Takes a drain back. */
  | { readonly kind: 'undrain'; readonly worker: string }
  /** Takes a lost worker that will not come back off the list. */
  | { readonly kind: 'forget'; readonly worker: string }
  /** Ends this very pod; its StatefulSet makes another. */
  | { readonly kind: 'deletePod'; readonly pod: string; readonly uid: string }
  /** Has controllers start again, for this version of the model. */
  | { readonly kind: 'restart'; readonly deployment: string; readonly generation: number }
  | { readonly kind: 'expertReplicas'; readonly asked: AskedReplicas }
  | { readonly kind: 'finalizers'; readonly finalizers: readonly string[]; readonly resourceVersion: string }
  | { readonly kind: 'status'; readonly status: Status }
  | { readonly kind: 'event'; readonly event: Happening };

/** The status of an object, with conditions. */
export type Status = Readonly<Record<string, unknown>> & { readonly conditions: readonly Condition[] };

/** What is published as an event, on the object and to the cluster. */
export interface Happening {
  /** As cluster events: "POOL_SCALED". */
  readonly code: string;
  readonly warning: boolean;
  readonly message: string;
}

/** Drains a worker, and says so. */
export function drainSteps(worker: string, why: string): readonly Step[] {
  const event = { code: 'POD_DRAINING', warning: false, message: `${worker} is drained: ${why}` };
  return [
    { kind: 'drain', worker },
    { kind: 'event', event },
  ];
}

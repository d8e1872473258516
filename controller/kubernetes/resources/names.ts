/** What the operator's objects are called, and the labels by which they are found. */

export const GROUP = 'conclave.dev';
export const VERSION = 'v1alpha1';
export const API_VERSION = `${GROUP}/${VERSION}`;
/** Who owns the fields that the operator applies. */
export const FIELD_MANAGER = 'conclave-operator';
/** An ExpertPool with it is drained before it goes. */
export const FINALIZER = `${GROUP}/drain`;
/** The container that runs `conclave worker`. */
export const CONTAINER = 'worker';

export const labels = {
  name: 'app.kubernetes.io/name',
  instance: 'app.kubernetes.io/instance',
  component: 'app.kubernetes.io/component',
  managedBy: 'app.kubernetes.io/managed-by',
  model: `${GROUP}/model`,
  role: `${GROUP}/role`,
  pool: `${GROUP}/pool`,
} as const;

export const annotations = {
  /** Digest of what was applied last. */
  applied: `${GROUP}/applied`,
  /** Which controller applied it, under which term of the lease. */
  operator: `${GROUP}/operator`,
  /** Since when one pod more is asked for, for the time of an update. */
  surge: `${GROUP}/surge`,
  /** On a MoEModel and on the pods of controllers that were made with it. */
  checksum: `${GROUP}/model-checksum`,
  /** On pods of controllers: uid and generation of the MoEModel that they were started again for. */
  restart: `${GROUP}/model-generation`,
} as const;

/** What workers of a set may be there for. */
export type Role = 'stage' | 'expert';

/** Name of a set's StatefulSet, Service and PodDisruptionBudget. `owner` is the MoEModel of stages, the ExpertPool of experts. */
export function setName(role: Role, owner: string): string {
  return `${owner}-${role}`;
}

/** Pod, and so worker, of an ordinal. */
export function podName(set: string, ordinal: number): string {
  return `${set}-${ordinal}`;
}

/** Ordinal of a set's pod; null for the name of no pod of it. */
export function ordinalOf(set: string, pod: string): number | null {
  const ordinal = pod.startsWith(`${set}-`) ? pod.slice(set.length + 1) : '';
  return /^(0|[1-9]\d*)$/.test(ordinal) ? Number(ordinal) : null;
}

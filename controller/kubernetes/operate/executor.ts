import type { ManagedChanges } from '../../cluster/control/managed-changes.ts';
import type { KubeApi, KubeEvent } from '../api/kube-api.ts';
import type { Step, Subject } from '../reconcile/step.ts';

export interface ExecutorOptions {
  readonly api: KubeApi;
  readonly changes: () => Pick<ManagedChanges, 'drain' | 'undrain' | 'forget' | 'askReplicas'>;
  /** Whether this controller may still act. */
  readonly leads: () => boolean;
  /** Tells the cluster what happened. */
  readonly publish: (subject: Subject, event: Extract<Step, { kind: 'event' }>['event']) => void;
  /** Events that cannot be written are reported nowhere else, and are no reason to stop. */
  readonly onError: (what: string, error: unknown) => void;
}

/** Does the steps of one object in order, each only while this controller leads. Rejects with the first failure. */
export async function execute(
  subject: Subject & { readonly uid: string },
  by: string,
  steps: readonly Step[],
  options: ExecutorOptions,
): Promise<void> {
  for (const step of steps) {
    if (!options.leads()) return; // The next leader looks at everything.
    await perform(subject, by, step, options);
  }
}

async function perform(
  subject: Subject & { readonly uid: string },
  by: string,
  step: Step,
  { api, changes, publish, onError }: ExecutorOptions,
): Promise<void> {
  switch (step.kind) {
    case 'apply':
      return api.apply(step.object);
    case 'drain':
      return changes().drain(step.worker, by);
    case 'undrain':
      return changes().undrain(step.worker, by);
    case 'forget':
      return changes().forget(step.worker);
    case 'deletePod':
      return api.deletePod(step.pod, step.uid);
    case 'restart':
      return api.restart(step.deployment, `${subject.uid}/${step.generation}`);
    case 'expertReplicas':
      return changes().askReplicas(step.asked, by);
    case 'finalizers':
      return api.setFinalizers(subject, step.finalizers, step.resourceVersion);
    case 'status':
      return api.applyStatus(subject, step.status);
    case 'event': {
      const { code, warning, message } = step.event;
      publish(subject, step.event);
      const event: KubeEvent = { subject, reason: camel(code), warning, message };
      return api.createEvent(event).catch((error: unknown) => onError('event', error));
    }
  }
}

/** "POOL_SCALED" is PoolScaled in Kubernetes. */
function camel(code: string): string {
  return code
    .split('_')
    .map((word) => word.charAt(0) + word.slice(1).toLowerCase())
    .join('');
}

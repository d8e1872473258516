import type { ExpertPool } from '../resources/expert-pool.ts';
import type { MoEModel } from '../resources/moe-model.ts';
import { API_VERSION, labels, type Role, setName } from '../resources/names.ts';
import type { OwnerReference, Resources, TemplatePart } from '../resources/objects.ts';

/** A StatefulSet of workers as its MoEModel or ExpertPool wants it. */
export interface WorkerSet {
  /** Of the StatefulSet, its Service and its PodDisruptionBudget. */
  readonly name: string;
  readonly namespace: string;
  readonly role: Role;
  readonly owner: OwnerReference;
  readonly replicas: number;
  /** What the workers may hold. */
  readonly roles: readonly Role[];
  readonly gpus: number;
  readonly memory: string | number | null;
  readonly resources: Resources;
  /** Flags by name: the model's, then its own. */
  readonly options: Readonly<Record<string, string>>;
  /** Merged over the operator's own template, in this order. */
  readonly templates: readonly TemplatePart[];
  readonly selector: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
}

/** The stage workers of a model. */
export function stageSet(model: MoEModel): WorkerSet {
  const { replicas, roles, gpus, memory = null, resources, options, template } = model.spec.stages;
  return {
    ...identity(model, 'stage', 'MoEModel', model),
    ...{ replicas, roles, gpus, memory, resources },
    options: { ...model.spec.options, ...options },
    templates: [model.spec.workers.template, template],
  };
}

/** The workers of a pool. */
export function poolSet(model: MoEModel, pool: ExpertPool): WorkerSet {
  const { replicas, gpus, memory = null, resources, options, template } = pool.spec;
  return {
    ...identity(model, 'expert', 'ExpertPool', pool),
    ...{ replicas, roles: ['expert'], gpus, memory, resources },
    options: { ...model.spec.options, ...options },
    templates: [model.spec.workers.template, template],
  };
}

/** Labels of a pool's pods, and of a model's stage workers. */
export function selectorOf(role: Role, model: string, owner: string): Readonly<Record<string, string>> {
  const of = { [labels.name]: 'conclave', [labels.component]: 'worker', [labels.model]: model, [labels.role]: role };
  return role === 'expert' ? { ...of, [labels.pool]: owner } : of;
}

function identity(model: MoEModel, role: Role, kind: string, { metadata }: MoEModel | ExpertPool) {
  const { name, namespace, uid } = metadata;
  const selector = selectorOf(role, model.metadata.name, name);
  return {
    name: setName(role, name),
    namespace,
    role,
    owner: { apiVersion: API_VERSION, kind, name, uid, controller: true, blockOwnerDeletion: true } as const,
    selector,
    labels: {
      ...selector,
      [labels.instance]: model.metadata.labels[labels.instance] ?? model.metadata.name,
      [labels.managedBy]: 'conclave-operator',
    },
  };
}

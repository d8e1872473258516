import type { Controllers } from '../desired/controllers.ts';
import { setObjects } from '../desired/set-objects.ts';
import { setProblems } from '../desired/spec-problems.ts';
import { stageSet } from '../desired/worker-set.ts';
import { conditionsOf } from '../resources/conditions.ts';
import type { MoEModel } from '../resources/moe-model.ts';
import type { WantedReplicas } from './expert-replicas.ts';
import { type ModelLoad, modelStatus } from './model-status.ts';
import type { ObservedSet, ObservedWorkers } from './observed.ts';
import { idle } from './progress.ts';
import { reconcileSet } from './reconcile-set.ts';
import { restartSteps } from './served.ts';
import { statusSteps } from './status-step.ts';
import type { Step } from './step.ts';

/** What is the same for every object of one look. */
export interface Look {
  readonly controllers: Controllers;
  readonly workers: ObservedWorkers;
  /** See SetInput. */
  readonly operator: string;
  readonly busyElsewhere: string | null;
  /** Who drains for the object. */
  readonly by: string;
  /** Workers that it asked to be drained. */
  readonly drained: readonly string[];
  /** Figures in the status are written even if nothing else has changed. */
  readonly measuredDue: boolean;
  /** It is being deleted, with everything in it. */
  readonly namespaceLeaves: boolean;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

export interface ModelInput extends Look {
  readonly model: MoEModel;
  readonly observed: ObservedSet;
  readonly load: ModelLoad;
  readonly replicas: WantedReplicas;
}

/** What to do about a MoEModel. */
export function reconcileModel(input: ModelInput): readonly Step[] {
  const { model, controllers, observed, load, replicas, measuredDue, now } = input;
  if (model.metadata.name !== controllers.model) return notServed(model, controllers, now);
  if (input.namespaceLeaves || model.metadata.deletionTimestamp !== undefined) return [];
  const set = stageSet(model);
  const problems = setProblems(set, 'spec', controllers);
  const differences = controllers.differences(model);
  const status = (progress = idle, applied = model.status.appliedExpertReplicas ?? null) =>
    modelStatus({
      ...{ model, observed, load, progress, problems, differences, controllers, now },
      appliedExpertReplicas: applied,
    });
  if (problems.length > 0) return statusSteps(model.status, status(), measuredDue);
  const { steps, progress } = reconcileSet({ ...input, set, objects: setObjects(set, model, controllers) });
  return [
    ...steps,
    ...restartSteps(model, differences, controllers, measuredDue),
    ...(replicas.ask === null ? [] : [{ kind: 'expertReplicas', asked: replicas.ask } as const]),
    ...statusSteps(model.status, status(progress, replicas.waiting === null ? replicas.digest : null), measuredDue),
  ];
}

/** Of a model that nobody has said anything of: controllers of another release may serve it, and say so themselves. */
function notServed({ metadata, status }: MoEModel, { model }: Controllers, now: number): readonly Step[] {
  if (status.conditions.length > 0 || metadata.deletionTimestamp !== undefined) return [];
  const message =
    `the controllers here serve MoEModel ${model}; a release of the chart serves one model: ` +
    `install another one, or name this one with --kubernetes-model`;
  const { generation } = metadata;
  const finding = { type: 'Served', holds: false, reason: 'NotServed', message };
  return statusSteps(
    status,
    {
      ...{ observedGeneration: generation, phase: 'Pending' },
      conditions: conditionsOf([finding], [], { generation, now }),
    },
    true,
  );
}

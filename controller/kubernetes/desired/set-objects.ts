import type { MoEModel } from '../resources/moe-model.ts';
import { annotations } from '../resources/names.ts';
import type { KubeObject } from '../resources/objects.ts';
import type { Controllers } from './controllers.ts';
import { digest } from './digest.ts';
import { podTemplate, ports } from './pod-template.ts';
import type { WorkerSet } from './worker-set.ts';

/** What a set is made of. The StatefulSet is without replicas: the reconciler decides on those. */
export interface SetObjects {
  readonly service: KubeObject;
  readonly budget: KubeObject;
  readonly statefulSet: KubeObject;
}

export function setObjects(set: WorkerSet, model: MoEModel, controllers: Controllers): SetObjects {
  const { name, namespace, labels, owner, selector } = set;
  const object = (apiVersion: string, kind: string, spec: KubeObject['spec']): KubeObject => ({
    apiVersion,
    kind,
    metadata: {
      name,
      namespace,
      labels,
      ownerReferences: [owner],
      annotations: { [annotations.applied]: digest(spec) },
    },
    spec,
  });
  return {
    service: object('v1', 'Service', {
      clusterIP: 'None',
      publishNotReadyAddresses: true, // Workers reach each other while they load.
      selector,
      ports: Object.entries(ports).map(([port, number]) => ({ name: port, port: number, protocol: 'TCP' })),
    }),
    budget: object('policy/v1', 'PodDisruptionBudget', {
      maxUnavailable: 1,
      unhealthyPodEvictionPolicy: 'AlwaysAllow',
      selector: { matchLabels: selector },
    }),
    statefulSet: object('apps/v1', 'StatefulSet', {
      serviceName: name,
      podManagementPolicy: 'Parallel',
      updateStrategy: { type: 'OnDelete' }, // The operator takes one worker at a time, once it holds nothing.
      revisionHistoryLimit: 5,
      selector: { matchLabels: selector },
      template: podTemplate(set, model, controllers),
    }),
  };
}

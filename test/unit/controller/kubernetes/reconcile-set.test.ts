import { describe, expect, it } from 'vitest';
import { reconcileSet } from '../../../../controller/kubernetes/reconcile/reconcile-set.ts';
import { inShort, pod, type Scene, setInput } from './fixtures.ts';

const stale = { revision: 'old' };
const w = (ordinal: number) => `experts-expert-${ordinal}`;

interface Case {
  readonly name: string;
  readonly scene: Scene;
  readonly steps: readonly string[];
  /** Reason of what goes on. */
  readonly reason: string;
}

const scaling: readonly Case[] = [
  {
    name: 'does nothing where all is as asked',
    scene: { wanted: 2, pods: [pod(0), pod(1)] },
    steps: [],
    reason: 'Complete',
  },
  {
    name: 'scales out at once',
    scene: { wanted: 4, pods: [pod(0), pod(1)] },
    steps: ['apply StatefulSet 4'],
    reason: 'ScalingOut',
  },
  {
    name: 'drains the highest ordinal first',
    scene: { wanted: 2, pods: [pod(0), pod(1), pod(2), pod(3)] },
    steps: [`drain ${w(3)}`],
    reason: 'ScalingIn',
  },
  {
    name: 'drains the next one while the first one still moves',
    scene: { wanted: 2, pods: [pod(0), pod(1), pod(2), pod(3)], cluster: { drained: [3] } },
    steps: [`drain ${w(2)}`],
    reason: 'ScalingIn',
  },
  {
    name: 'waits while both move',
    scene: { wanted: 2, pods: [pod(0), pod(1), pod(2), pod(3)], cluster: { drained: [2, 3] } },
    steps: [],
    reason: 'ScalingIn',
  },
  {
    name: 'shrinks past the pod that holds nothing, and no further',
    scene: { wanted: 2, pods: [pod(0), pod(1), pod(2), pod(3)], cluster: { drained: [2, 3], holding: [0, 1, 2] } },
    steps: ['apply StatefulSet 3'],
    reason: 'ScalingIn',
  },
  {
    name: 'does not shrink past a pod that holds something to reach one that holds nothing',
    scene: { wanted: 2, pods: [pod(0), pod(1), pod(2), pod(3)], cluster: { drained: [2, 3], holding: [0, 1, 3] } },
    steps: [],
    reason: 'ScalingIn',
  },
  {
    name: 'leaves what runs alone where a drain is refused',
    scene: { wanted: 1, pods: [pod(0), pod(1)], cluster: { refused: [1] } },
    steps: [],
    reason: 'DrainRefused',
  },
  {
    name: 'lets pods go that never came up',
    scene: { wanted: 1, pods: [pod(0), pod(1, { ready: false })], cluster: { holding: [0] } },
    steps: ['apply StatefulSet 1'],
    reason: 'ScalingIn',
  },
  {
    name: 'takes a drain back when the pod may stay after all',
    scene: { wanted: 4, pods: [pod(0), pod(1), pod(2), pod(3, { ready: false })], cluster: { drained: [3] } },
    steps: [`undrain ${w(3)}`],
    reason: 'Complete',
  },
  {
    name: 'takes a drain back once the worker is gone',
    scene: { wanted: 1, pods: [pod(0)], cluster: { drained: [1] } },
    steps: [`undrain ${w(1)}`],
    reason: 'Complete',
  },
  {
    name: 'keeps a drain while the pod is going',
    scene: {
      wanted: 1,
      replicas: 1,
      pods: [pod(0), pod(1, { terminating: true })],
      cluster: { drained: [1], holding: [0] },
    },
    steps: [],
    reason: 'Complete',
  },
  {
    name: 'leaves drains of others alone',
    scene: {
      wanted: 2,
      pods: [pod(0), pod(1, { ready: false })],
      cluster: { drained: [1], drainedBy: 'key 1f3870be' },
    },
    steps: [],
    reason: 'Complete',
  },
  {
    name: 'takes a lost worker of a pod that is no more off the list',
    scene: { wanted: 1, pods: [pod(0)], cluster: { lost: [1] } },
    steps: [`forget ${w(1)}`],
    reason: 'Complete',
  },
  {
    name: 'says why a pod does not come up',
    scene: { wanted: 2, pods: [pod(0), pod(1, { ready: false, problem: 'Unschedulable: 0/3 nodes' })] },
    steps: [],
    reason: 'PodNotReady',
  },
  {
    name: 'writes its term on what the operator before it wrote',
    scene: { wanted: 1, pods: [pod(0)], operator: 'controller-1/2' },
    steps: ['apply StatefulSet 1'],
    reason: 'Complete',
  },
  {
    name: 'scales to nothing',
    scene: { wanted: 0, pods: [pod(0)], cluster: { drained: [0], holding: [] } },
    steps: ['apply StatefulSet 0'],
    reason: 'ScalingIn',
  },
];

const updating: readonly Case[] = [
  {
    name: 'applies another template with the replicas that there are',
    scene: { wanted: 2, pods: [pod(0), pod(1)], applied: 'before' },
    steps: ['apply StatefulSet 2'],
    reason: 'Complete',
  },
  {
    name: 'waits until the template has a revision',
    scene: { wanted: 2, pods: [pod(0), pod(1)], updateRevision: null },
    steps: [],
    reason: 'Updating',
  },
  {
    name: 'drains one worker, of the highest ordinal',
    scene: { wanted: 3, pods: [pod(0, stale), pod(1, stale), pod(2, stale)] },
    steps: [`drain ${w(2)}`],
    reason: 'Updating',
  },
  {
    name: 'waits while it is drained, though its pod is not ready meanwhile',
    scene: { wanted: 2, pods: [pod(0, stale), pod(1, { ...stale, ready: false })], cluster: { drained: [1] } },
    steps: [],
    reason: 'Updating',
  },
  {
    name: 'deletes its pod once it holds nothing',
    scene: {
      wanted: 2,
      pods: [pod(0, stale), pod(1, { ...stale, ready: false })],
      cluster: { drained: [1], holding: [0] },
    },
    steps: [`delete ${w(1)} uid-1`],
    reason: 'Updating',
  },
  {
    name: 'waits while that pod ends',
    scene: {
      wanted: 2,
      pods: [pod(0, stale), pod(1, { ...stale, ready: false, terminating: true })],
      cluster: { drained: [1], holding: [0] },
    },
    steps: [],
    reason: 'Updating',
  },
  {
    name: 'takes the drain back when the new pod is about to be there',
    scene: { wanted: 2, replicas: 2, pods: [pod(0, stale)], cluster: { drained: [1] } },
    steps: [`undrain ${w(1)}`],
    reason: 'Updating',
  },
  {
    name: 'waits until the new pod is ready',
    scene: { wanted: 2, pods: [pod(0, stale), pod(1, { ready: false })], cluster: { holding: [0] } },
    steps: [],
    reason: 'Updating',
  },
  {
    name: 'goes on with the next one then',
    scene: { wanted: 2, pods: [pod(0, stale), pod(1)] },
    steps: [`drain ${w(0)}`],
    reason: 'Updating',
  },
  {
    name: 'stops where the new pod does not come up',
    scene: {
      wanted: 2,
      pods: [pod(0, stale), pod(1, { ready: false, problem: 'ErrImagePull' })],
      cluster: { holding: [0] },
    },
    steps: [],
    reason: 'UpdateStuck',
  },
  {
    name: 'replaces a broken pod of an older template first, without waiting for others',
    scene: {
      wanted: 2,
      pods: [pod(0, stale), pod(1, { ...stale, ready: false, problem: 'ErrImagePull' })],
      cluster: { holding: [0] },
      busyElsewhere: 'a worker of clerk-stage is being drained',
    },
    steps: [`delete ${w(1)} uid-1`],
    reason: 'PodNotReady',
  },
  {
    name: 'waits for the other sets of the model',
    scene: { wanted: 2, pods: [pod(0, stale), pod(1)], busyElsewhere: 'clerk-stage is updated first' },
    steps: [],
    reason: 'Updating',
  },
  {
    name: 'waits for the newest plan',
    scene: { wanted: 2, pods: [pod(0, stale), pod(1)], cluster: { settled: false } },
    steps: [],
    reason: 'Updating',
  },
  {
    name: 'makes one pod more where the others have no room',
    scene: { wanted: 1, pods: [pod(0, stale)], cluster: { refused: [0] } },
    steps: ['apply StatefulSet 2 with one more'],
    reason: 'Updating',
  },
  {
    name: 'waits for that pod',
    scene: {
      wanted: 1,
      pods: [pod(0, stale), pod(1, { ready: false })],
      cluster: { refused: [0], holding: [0] },
      surgeFor: 600_000,
    },
    steps: [],
    reason: 'Updating',
  },
  {
    name: 'then drains, and keeps it',
    scene: { wanted: 1, pods: [pod(0, stale), pod(1)], surgeFor: 600_000 },
    steps: [`drain ${w(0)}`],
    reason: 'Updating',
  },
  {
    name: 'drains the extra pod when the update is done',
    scene: { wanted: 1, pods: [pod(0), pod(1)], surgeFor: 600_000 },
    steps: ['apply StatefulSet 2', `drain ${w(1)}`],
    reason: 'ScalingIn',
  },
  {
    name: 'keeps the extra pod until the last new one is ready',
    scene: {
      wanted: 1,
      pods: [pod(0, { ready: false }), pod(1)],
      cluster: { refused: [1], holding: [1] },
      surgeFor: 600_000,
    },
    steps: [],
    reason: 'Updating',
  },
  {
    name: 'takes a pod whose experts others hold where no node has room for one more',
    scene: {
      wanted: 2,
      pods: [pod(0, stale), pod(1, stale), pod(2, { ready: false, unschedulable: true })],
      cluster: { refused: [1], holding: [0, 1] },
      surgeFor: 60_000,
    },
    steps: [`delete ${w(1)} uid-1`],
    reason: 'Updating',
  },
  {
    name: 'does so too where no pod could be made, for want of a quota',
    scene: {
      wanted: 2,
      replicas: 3,
      pods: [pod(0, stale), pod(1, stale)],
      cluster: { refused: [1] },
      surgeFor: 60_000,
    },
    steps: [`delete ${w(1)} uid-1`],
    reason: 'Updating',
  },
  {
    name: 'is patient before it does',
    scene: {
      wanted: 2,
      pods: [pod(0, stale), pod(1, stale), pod(2, { ready: false, unschedulable: true })],
      cluster: { refused: [1], holding: [0, 1] },
      surgeFor: 59_000,
    },
    steps: [],
    reason: 'Updating',
  },
  {
    name: 'never takes the last holder of an expert',
    scene: {
      wanted: 2,
      pods: [pod(0, stale), pod(1, stale), pod(2, { ready: false, unschedulable: true })],
      cluster: { refused: [1], only: [1], holding: [0, 1] },
      surgeFor: 3_600_000,
    },
    steps: [],
    reason: 'LastHolder',
  },
];

describe('a set of workers', () => {
  it.each([...scaling, ...updating])('$name', ({ scene, steps, reason }) => {
    const outcome = reconcileSet(setInput(scene));
    expect(inShort(outcome.steps)).toEqual(steps);
    expect(outcome.progress.reason, outcome.progress.message).toBe(reason);
  });

  it('is made of a Service, a PodDisruptionBudget and a StatefulSet, in this order', () => {
    const input = setInput({ wanted: 2, pods: [] });
    const observed = { statefulSet: null, service: null, budget: null, pods: [] };
    expect(inShort(reconcileSet({ ...input, observed }).steps)).toEqual([
      'apply Service',
      'apply PodDisruptionBudget',
      'apply StatefulSet 2',
    ]);
  });

  it('is written only to the StatefulSet that was seen', () => {
    const [step] = reconcileSet(setInput({ wanted: 4, pods: [pod(0), pod(1)] })).steps;
    expect(step?.kind === 'apply' && step.object.metadata.resourceVersion).toBe('42');
  });

  it('names in its progress what is refused', () => {
    const { progress } = reconcileSet(setInput({ wanted: 1, pods: [pod(0), pod(1)], cluster: { refused: [1] } }));
    expect(progress).toEqual({
      reason: 'DrainRefused',
      message: 'experts-expert-1 cannot be drained, so it stays: no plan gives 2 replicas of every expert',
      blocked: true,
    });
  });
});

import type { Controllers, Differences } from '../desired/controllers.ts';
import { conditionsOf, type Finding } from '../resources/conditions.ts';
import type { MoEModel } from '../resources/moe-model.ts';
import { accepted, progressing } from './findings.ts';
import type { ObservedSet } from './observed.ts';
import { podCounts } from './pool-status.ts';
import type { Progress } from './progress.ts';
import { served } from './served.ts';
import type { Status } from './step.ts';

/** What of the cluster is about the whole model. */
export interface ModelLoad {
  readonly model: string;
  /** Who leads. */
  readonly controller: string;
  readonly planEpoch: number;
  readonly rollout: {
    readonly phase: 'None' | 'Loading' | 'Complete' | 'RolledBack';
    readonly epoch: number;
    readonly loadedBytes: number;
    readonly totalBytes: number;
    readonly error: string;
  };
  readonly pipelines: { readonly planned: number; readonly ready: number };
  readonly tokensPerSecond: number;
  readonly running: number;
  readonly waiting: number;
  /** Stage workers that are being drained or are drained. */
  readonly drained: readonly string[];
  /** Why requests are not answered; empty: they are. */
  readonly obstacles: readonly string[];
}

export interface ModelStatusInput {
  readonly model: MoEModel;
  readonly observed: ObservedSet;
  readonly load: ModelLoad;
  readonly progress: Progress;
  readonly problems: readonly string[];
  /** How the model differs from what the controllers run with. */
  readonly differences: Differences;
  readonly controllers: Pick<Controllers, 'addresses' | 'deployment'>;
  /** Digest of the replicas that were asked for. */
  readonly appliedExpertReplicas: string | null;
  readonly now: number;
}

export function modelStatus(input: ModelStatusInput): Status {
  const { model, observed, load, progress, problems, differences, controllers, appliedExpertReplicas, now } = input;
  const { addresses } = controllers;
  const { generation } = model.metadata;
  const { planned, ready } = load.pipelines;
  const { phase, epoch, error } = load.rollout;
  return {
    observedGeneration: generation,
    phase: phaseOf(input),
    model: load.model,
    controller: load.controller,
    planEpoch: load.planEpoch,
    rollout: { phase, epoch, progress: progressText(load.rollout), error },
    pipelines: { planned, ready, summary: `${ready}/${planned}` },
    tokensPerSecond: Math.round(load.tokensPerSecond),
    running: load.running,
    waiting: load.waiting,
    ...(addresses === null ? {} : { addresses }),
    stages: { ...podCounts(observed), drained: load.drained },
    ...(appliedExpertReplicas === null ? {} : { appliedExpertReplicas }),
    conditions: conditionsOf(
      [accepted(problems), served(differences, controllers), available(load.obstacles), progressing(progress)],
      model.status.conditions,
      { generation, now },
    ),
  };
}

function phaseOf({ model, load, progress, problems }: ModelStatusInput): string {
  if (model.metadata.deletionTimestamp !== undefined) return 'Deleting';
  if (problems.length > 0) return 'Failed';
  const { planned, ready } = load.pipelines;
  if (ready === 0) return load.rollout.phase === 'Loading' ? 'Loading' : planned === 0 ? 'Pending' : 'Degraded';
  const troubled = ready < planned || load.rollout.phase === 'RolledBack' || progress.blocked;
  return troubled || load.rollout.error !== '' || load.obstacles.length > 0 ? 'Degraded' : 'Ready';
}

function available(obstacles: readonly string[]): Finding {
  return obstacles.length === 0
    ? { type: 'Available', holds: true, reason: 'Answering', message: 'requests are answered' }
    : { type: 'Available', holds: false, reason: 'NotAnswering', message: obstacles.join('; ') };
}

/** "45%"; "100%" once nothing is left to load. */
function progressText({ phase, loadedBytes, totalBytes }: ModelLoad['rollout']): string {
  if (phase !== 'Loading') return phase === 'None' ? '0%' : '100%';
  return totalBytes === 0 ? '0%' : `${Math.floor((100 * loadedBytes) / totalBytes)}%`;
}

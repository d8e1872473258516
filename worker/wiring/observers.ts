import type { Bus } from '../../platform/bus/bus.ts';
import { systemClock } from '../../platform/process/clock.ts';
import { ActivityMeter } from '../agent/activity-meter.ts';
import { FailureEvents } from '../agent/failure-events.ts';
import type { EngineObserver } from '../engine/run/observer.ts';
import type { DispatchObserver } from '../shard/dispatcher.ts';
import type { ShardObserver } from '../shard/server.ts';
import type { ShardFailure } from '../wire/failure.ts';
import type { Closers } from './closers.ts';
import type { WorkerObserver } from './worker-observer.ts';

export interface ObserverOptions {
  readonly bus: Bus;
  readonly cluster: string;
  /** Id of this worker. */
  readonly id: string;
  readonly observer: WorkerObserver;
}

/** The worker's observer with what else sees the same: the activity that is reported, and events of the cluster. */
export interface Observers {
  readonly activity: ActivityMeter;
  readonly dispatch: DispatchObserver;
  readonly engine: EngineObserver;
  readonly shard: ShardObserver;
  onPeerFailure(failure: ShardFailure): void;
  onColdLoad(layer: number, experts: readonly number[]): void;
  onLoadFailed(error: unknown): void;
}

export function createObservers({ bus, cluster, id, observer }: ObserverOptions, closers: Closers): Observers {
  const events = new FailureEvents({ bus, cluster, clock: systemClock, wallClock: Date.now });
  closers.add(() => events.close());
  const activity = new ActivityMeter(() => systemClock.now());
  return {
    activity,
    dispatch: countingDispatches(observer, activity),
    engine: reportingSteps(observer.engine, activity, (message) =>
      events.report('STEP_FAILED', `worker/${id}`, message),
    ),
    shard: countingForwards(observer, activity),
    onLoadFailed: (error) => observer.onLoadFailed(error),
    onPeerFailure(failure) {
      observer.onPeerFailure(failure);
      events.report(failure.code, `worker/${failure.peer}`, `seen by ${id}: ${failure.message}`);
    },
    onColdLoad(layer, experts) {
      observer.onColdLoad(layer, experts);
      const message = `layer ${layer}, experts ${experts.join(', ')}: no replica answered, computed on the stage`;
      events.report('COLD_LOAD', `worker/${id}`, message);
    },
  };
}

function countingDispatches(observer: DispatchObserver, activity: ActivityMeter): DispatchObserver {
  return {
    ...observer,
    onAnswer(peer, layer, rows, bytes, elapsedMs) {
      observer.onAnswer(peer, layer, rows, bytes, elapsedMs);
      activity.answered(elapsedMs);
    },
  };
}

function countingForwards(observer: ShardObserver, activity: ActivityMeter): ShardObserver {
  return {
    onRefused: (code, message) => observer.onRefused(code, message),
    onForward(layer, rows, elapsedMs) {
      observer.onForward(layer, rows, elapsedMs);
      activity.forwarded(elapsedMs);
    },
  };
}

function reportingSteps(
  observer: EngineObserver,
  activity: ActivityMeter,
  reportFailure: (message: string) => void,
): EngineObserver {
  return {
    ...observer,
    onStep(step) {
      observer.onStep(step);
      activity.stepped(step);
    },
    onFirstToken(requestId, index, sinceArrivalMs) {
      observer.onFirstToken(requestId, index, sinceArrivalMs);
      activity.began();
    },
    onStepFailed(error, retried, failed) {
      observer.onStepFailed(error, retried, failed);
      const reason = error instanceof Error ? error.message : String(error);
      reportFailure(`${reason}; ${retried.length} sequences are computed again, ${failed.length} failed`);
    },
  };
}

import type { Logger } from 'pino';
import type { EngineObserver } from '../../worker/engine/run/observer.ts';
import { stepFailureLog } from '../../worker/wiring/failure-log.ts';

/** Writes what goes wrong in an engine to the log. `onFault` is called when it serves no more. */
export function engineLog(log: Logger, onFault: (error: Error) => void): EngineObserver {
  const nothing = (): void => {};
  return {
    onStep: nothing,
    onStarted: nothing,
    onFirstToken: nothing,
    onFinished: nothing,
    onPreemption: (requestId, index) => log.debug({ requestId, index }, 'preempted: the KV cache is full'),
    onStepFailed: stepFailureLog(log, () => performance.now()),
    onFault: (error) => onFault(error instanceof Error ? error : new Error(String(error))),
  };
}

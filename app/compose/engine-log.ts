import type { Logger } from 'pino';
import type { EngineObserver } from '../../worker/engine/run/observer.ts';
import { errorCode } from '../../worker/errors.ts';
import { stepFailureLog } from '../../worker/wiring/failure-log.ts';

/** Writes what goes wrong in an engine to the log. `onFault` is called when it serves no more. */
export function engineLog(log: Logger, onFault: (error: Error) => void): EngineObserver {
  const nothing = (): void => {};
  const writeStepFailure = stepFailureLog(log, () => performance.now());
  return {
    onStep: nothing,
    onStarted: nothing,
    onFirstToken: nothing,
    onFinished: nothing,
    onPreemption: (requestId, index) => log.debug({ requestId, index }, 'preempted: the KV cache is full'),
    onStepFailed(error, retried, failed) {
      writeStepFailure(error, retried, failed);
      if (error instanceof Error && errorCode(error) === 'DEVICE_LOST') onFault(error);
    },
    onFault: (error) => onFault(error instanceof Error ? error : new Error(String(error))),
  };
}

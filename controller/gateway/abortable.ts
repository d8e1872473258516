import { toServiceError } from '../errors.ts';

/**
 * Settles as the work does, or fails with the signal's reason as a ServiceError as soon as it aborts. The work must notice the
 * abort by itself, and do nothing more that shows.
 */
export function abortable<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(toServiceError(signal.reason));
    if (signal.aborted) return onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    work()
      .then(resolve, reject)
      .finally(() => signal.removeEventListener('abort', onAbort));
  });
}

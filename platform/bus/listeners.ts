/** Called with an error where nobody waits for an answer, such as that of a listener that threw. */
export type OnError = (what: string, error: unknown) => void;

/** Calls a listener; what it throws goes to `onError`, not to the bus. */
export function callListener(what: string, onError: OnError, call: () => void): void {
  try {
    call();
  } catch (error) {
    onError(`listener of ${what}`, error);
  }
}

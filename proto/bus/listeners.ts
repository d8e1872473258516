/** Told of what went wrong where nobody waits for an answer, such as a listener that threw. */
export type OnTrouble = (what: string, error: unknown) => void;

/** Calls a listener; what it throws goes to `onTrouble`, not to the bus. */
export function callListener(what: string, onTrouble: OnTrouble, call: () => void): void {
  try {
    call();
  } catch (error) {
    onTrouble(`listener of ${what}`, error);
  }
}

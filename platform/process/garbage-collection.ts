import { setFlagsFromString } from 'node:v8';

/**
 * Lets the heap grow to six times what lives in it before a full collection; to be called once, first of all.
 *
 * Messages lie outside V8's heap, but count towards the limit at which it collects everything, and the limit follows the
 * little that lives there. A worker that dispatches would stop for a full collection after every 10 MB or so of activations.
 */
export function collectGarbageLessOften(): void {
  setFlagsFromString('--heap-growing-percent=500');
}

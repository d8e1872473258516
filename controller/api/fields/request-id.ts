import { randomUUID } from 'node:crypto';

/** The id of a request: the client's own X-Request-Id where it is harmless in logs, else a new one. */
export function requestIdOf(given: unknown): string {
  return typeof given === 'string' && /^[\w.:-]{1,128}$/.test(given) ? given : randomUUID();
}

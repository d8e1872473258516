import { setTimeout as sleep } from 'node:timers/promises';

const pollMs = 250;

/** Waits until `look` gives something; says what it was waiting for, and what it last saw, when that takes too long. */
export async function until<T>(what: string, ms: number, look: () => Promise<T | null | false>): Promise<T> {
  const end = Date.now() + ms;
  let last: unknown = 'nothing';
  while (Date.now() < end) {
    const seen = await look().catch((error: unknown) => {
      last = error;
      return null;
    });
    if (seen !== null && seen !== false) return seen;
    await sleep(pollMs);
  }
  throw new Error(`${what}: not within ${ms} ms; last: ${String(last)}`);
}

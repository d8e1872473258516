import type { Bus } from '../../proto/bus/bus.ts';
import { eventSubject } from '../../proto/bus/subjects.ts';
import { conclave, encode } from '../../proto/messages.ts';

export interface FailureEventsOptions {
  readonly bus: Bus;
  readonly cluster: string;
  /** Milliseconds since the epoch. */
  readonly wallClock: () => number;
}

/** A failure is told at most this often per code and subject; those between are counted in the next message. */
const INTERVAL_MS = 1_000;
/** Subjects whose last telling is remembered. */
const MAX_SUBJECTS = 1_024;

/** Tells the cluster of failures that a worker survived, without flooding it. */
export class FailureEvents {
  readonly #options: FailureEventsOptions;
  readonly #told = new Map<string, { at: number; silent: number }>();

  constructor(options: FailureEventsOptions) {
    this.#options = options;
  }

  tell(code: string, subject: string, message: string): void {
    const { bus, cluster, wallClock } = this.#options;
    const key = `${code} ${subject}`;
    const atMs = wallClock();
    const before = this.#told.get(key);
    if (before !== undefined && atMs - before.at < INTERVAL_MS) {
      before.silent++;
      return;
    }
    if (this.#told.size >= MAX_SUBJECTS) this.#told.clear();
    this.#told.set(key, { at: atMs, silent: 0 });
    const more = before !== undefined && before.silent > 0 ? ` (and ${before.silent} more since)` : '';
    const event = { atMs, code, severity: 'warning', subject, message: message + more };
    bus.publish(eventSubject(cluster), encode(conclave.ClusterEvent, event));
  }
}

import type { Bus } from '../../platform/bus/bus.ts';
import { eventSubject } from '../../platform/bus/subjects.ts';
import type { Clock } from '../../platform/process/clock.ts';
import { conclave, encode } from '../../proto/messages.ts';

export interface FailureEventsOptions {
  readonly bus: Bus;
  readonly cluster: string;
  readonly clock: Clock;
  /** Milliseconds since the epoch. */
  readonly wallClock: () => number;
}

/** A failure is reported at most this often per code and subject, in milliseconds; those between are counted in the next event. */
const INTERVAL_MS = 1_000;
/** Codes and subjects that are reported apart; beyond, subjects are reported together. */
const MAX_KINDS = 1_024;
const OTHERS = 'others';

interface Reported {
  /** Failures since the last event. */
  silent: number;
  message: string;
  cancel: () => void;
}

/** Reports to the cluster the failures that a worker survived, every one of them, without flooding it. */
export class FailureEvents {
  readonly #options: FailureEventsOptions;
  readonly #reported = new Map<string, Reported>();

  constructor(options: FailureEventsOptions) {
    this.#options = options;
  }

  report(code: string, subject: string, message: string): void {
    const about = this.#reported.size < MAX_KINDS || this.#reported.has(`${code} ${subject}`) ? subject : OTHERS;
    const key = `${code} ${about}`;
    const before = this.#reported.get(key);
    if (before !== undefined) {
      before.silent++;
      before.message = message;
      return;
    }
    this.#publish(code, about, message, 1);
    const entry: Reported = { silent: 0, message, cancel: () => undefined };
    this.#reported.set(key, entry);
    const later = (): void => {
      entry.cancel = this.#options.clock.after(INTERVAL_MS, () => {
        if (entry.silent === 0) {
          this.#reported.delete(key);
          return;
        }
        this.#publish(code, about, entry.message, entry.silent);
        entry.silent = 0;
        later();
      });
    };
    later();
  }

  /** Reports what it has kept, and nothing after that. */
  close(): void {
    for (const [key, { silent, message, cancel }] of this.#reported) {
      cancel();
      const [code = '', subject = ''] = key.split(/ (.*)/s);
      if (silent > 0) this.#publish(code, subject, message, silent);
    }
    this.#reported.clear();
  }

  #publish(code: string, subject: string, message: string, count: number): void {
    const { bus, cluster, wallClock } = this.#options;
    const event = { atMs: wallClock(), code, severity: 'warning', subject, message, count };
    bus.publish(eventSubject(cluster), encode(conclave.ClusterEvent, event));
  }
}

import type { Bus } from '../../proto/bus/bus.ts';
import { eventSubject } from '../../proto/bus/subjects.ts';
import type { Clock } from '../../proto/clock.ts';
import { conclave, encode } from '../../proto/messages.ts';

export interface FailureEventsOptions {
  readonly bus: Bus;
  readonly cluster: string;
  readonly clock: Clock;
  /** Milliseconds since the epoch. */
  readonly wallClock: () => number;
}

/** A failure is told at most this often per code and subject; those between are counted in the next event. */
const INTERVAL_MS = 1_000;
/** Codes and subjects that are told of apart; beyond, subjects are told of together. */
const MAX_KINDS = 1_024;
const OTHERS = 'others';

interface Told {
  /** Failures since the last event. */
  silent: number;
  message: string;
  cancel: () => void;
}

/** Tells the cluster of failures that a worker survived, every one of them, without flooding it. */
export class FailureEvents {
  readonly #options: FailureEventsOptions;
  readonly #told = new Map<string, Told>();

  constructor(options: FailureEventsOptions) {
    this.#options = options;
  }

  tell(code: string, subject: string, message: string): void {
    const about = this.#told.size < MAX_KINDS || this.#told.has(`${code} ${subject}`) ? subject : OTHERS;
    const key = `${code} ${about}`;
    const before = this.#told.get(key);
    if (before !== undefined) {
      before.silent++;
      before.message = message;
      return;
    }
    this.#publish(code, about, message, 1);
    const told: Told = { silent: 0, message, cancel: () => undefined };
    this.#told.set(key, told);
    const later = (): void => {
      told.cancel = this.#options.clock.after(INTERVAL_MS, () => {
        if (told.silent === 0) {
          this.#told.delete(key);
          return;
        }
        this.#publish(code, about, told.message, told.silent);
        told.silent = 0;
        later();
      });
    };
    later();
  }

  /** Tells what it has kept, and nothing after that. */
  close(): void {
    for (const [key, { silent, message, cancel }] of this.#told) {
      cancel();
      const [code = '', subject = ''] = key.split(/ (.*)/s);
      if (silent > 0) this.#publish(code, subject, message, silent);
    }
    this.#told.clear();
  }

  #publish(code: string, subject: string, message: string, count: number): void {
    const { bus, cluster, wallClock } = this.#options;
    const event = { atMs: wallClock(), code, severity: 'warning', subject, message, count };
    bus.publish(eventSubject(cluster), encode(conclave.ClusterEvent, event));
  }
}

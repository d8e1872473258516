import type { WorkerAnnouncement__Output as WorkerAnnouncement } from '../../../proto/generated/conclave/v1/WorkerAnnouncement.ts';
import type { Members } from './membership.ts';
import type { Session, Sighting } from './sighting.ts';

/**
 * joining: announced, not asked yet. reached: it answers at its address. lost: it was there and is gone, or its heartbeats
 * have ended. unreachable: its heartbeats come, but it does not answer at its address.
 */
export type Standing = 'joining' | 'reached' | 'lost' | 'unreachable';

/** What is known of the latest process of a worker. */
export interface RosterEntry {
  readonly worker: WorkerAnnouncement;
  readonly standing: Standing;
  /** Why it is lost or unreachable; empty otherwise. */
  readonly reason: string;
  /** Milliseconds since the epoch at which the standing began. */
  readonly sinceMs: number;
  /** Whether it answered when it was last asked. */
  readonly answers: boolean;
  /** Whether its heartbeats have ended. */
  readonly departed: boolean;
}

export interface RosterOptions {
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** Milliseconds since the epoch. */
  readonly wallClock: () => number;
  /** The standing of a worker is another one. */
  readonly onChange: (entry: RosterEntry, before: Standing) => void;
}

interface Known {
  worker: WorkerAnnouncement;
  standing: Standing;
  reason: string;
  sinceMs: number;
  /** Monotonic milliseconds at which the standing began. */
  since: number;
  answers: boolean;
  departed: boolean;
  /** It has answered as itself since it joined. */
  wasReached: boolean;
  /** Attempts in a row that found it gone. */
  gone: number;
  /** Monotonic milliseconds since when nothing but silence came; null while it answers. */
  silentSince: number | null;
}

/** One attempt may meet a process that is just restarting its listener, or a kernel that is short of something. */
const GONE_TWICE = 2;
/** So long a worker that was reached may be silent while its heartbeats come: longer than any slow machine takes. */
export const SILENT_MS = 30_000;
/** A heartbeat that is still there so long after its worker was gone is a new one: see the life of `workers` on the bus. */
export const HEARTBEAT_MS = 7_000;
/** Workers that have departed and are remembered. */
const MAX_DEPARTED = 64;
/** A worker that was lost once is used again at once; after the second time it waits so long, then twice as long, … */
const FIRST_HOLD_MS = 2_000;
const LONGEST_HOLD_MS = 60_000;
/** Losses further apart are not counted together. */
const FORGIVEN_MS = 600_000;
const MAX_LOSSES = 1_024;

/**
 * Which workers are there, judged by their heartbeats and by what this controller sees at their addresses. Silence is never
 * taken for death: a refused connection is, at once; a heartbeat that ends is, after its life on the bus.
 */
export class Roster {
  readonly #options: RosterOptions;
  readonly #known = new Map<string, Known>();
  readonly #losses = new Map<string, { readonly count: number; readonly at: number }>();

  constructor(options: RosterOptions) {
    this.#options = options;
  }

  get(id: string): RosterEntry | undefined {
    return this.#known.get(id);
  }

  entries(): Iterable<RosterEntry> {
    return this.#known.values();
  }

  /** Takes over who sends heartbeats now. A worker that said that it leaves is forgotten when it has left. */
  follow(members: Members): void {
    const { now, wallClock } = this.#options;
    for (const worker of members.values()) {
      const known = this.#known.get(worker.id);
      const same = known?.worker.startedAtMs === worker.startedAtMs && known.worker.address === worker.address;
      if (known === undefined || !same) {
        this.#known.set(worker.id, {
          ...{ worker, standing: 'joining', reason: '', sinceMs: wallClock(), since: now() },
          ...{ answers: false, departed: false, wasReached: false, gone: 0, silentSince: null },
        });
        continue;
      }
      known.worker = worker;
      if (known.departed) this.#return(known);
    }
    for (const [id, known] of this.#known) {
      if (members.has(id) || known.departed) continue;
      if (known.worker.draining) this.#known.delete(id);
      else this.#depart(known);
    }
  }

  /** Takes over what an attempt to reach a worker brought. Of an earlier process it says nothing about this one. */
  saw({ workerId, startedAtMs }: Session, sighting: Sighting): void {
    const known = this.#known.get(workerId);
    if (known === undefined || known.worker.startedAtMs !== startedAtMs) return;
    known.answers = sighting.kind === 'reached';
    known.gone = sighting.kind === 'gone' ? known.gone + 1 : 0;
    known.silentSince = sighting.kind === 'unanswered' ? (known.silentSince ?? this.#options.now()) : null;
    if (sighting.kind === 'reached') {
      known.wasReached = true;
      if (!known.departed) this.#become(known, 'reached', '');
    } else if (!known.wasReached) {
      if (!known.departed) this.#become(known, 'unreachable', sighting.reason);
    } else if (known.gone >= GONE_TWICE && known.standing === 'reached') {
      this.#become(known, 'lost', sighting.reason);
    }
    // What was found last is the best that can be said of it.
    if (sighting.kind !== 'reached' && known.standing === 'unreachable') known.reason = sighting.reason;
  }

  /** What time alone brings. While the bus is away nothing is known of heartbeats, and nothing follows from them. */
  tick(busConnected: boolean): void {
    const now = this.#options.now();
    for (const known of this.#known.values()) {
      if (known.departed) continue;
      if (known.standing === 'lost') {
        if (!busConnected) known.since = now;
        else if (now - known.since >= HEARTBEAT_MS) {
          this.#become(known, 'unreachable', `${known.reason}; its heartbeats come all the same`);
        }
      } else if (known.standing === 'reached' && known.silentSince !== null && now - known.silentSince >= SILENT_MS) {
        this.#become(known, 'unreachable', `no answer at ${known.worker.address} for ${SILENT_MS / 1_000} s`);
      }
    }
  }

  /**
   * Whether a plan may give something to a worker. One that a plan names already stays in it while nothing speaks against
   * it but silence: this controller may only just have begun to ask.
   */
  mayHold(id: string, planned: boolean): boolean {
    const known = this.#known.get(id);
    if (known === undefined || known.departed) return false;
    if (known.standing === 'reached') return planned || this.heldForMs(id) === 0;
    if (!planned || known.wasReached || known.gone > 0) return false;
    return known.silentSince === null || this.#options.now() - known.silentSince < SILENT_MS;
  }

  /** Milliseconds since a worker is lost; null while it is not. */
  lostForMs(id: string): number | null {
    const known = this.#known.get(id);
    return known?.standing === 'lost' ? this.#options.now() - known.since : null;
  }

  /** Milliseconds for which a worker that was lost again and again gets nothing new, so that plans do not flap with it. */
  heldForMs(id: string): number {
    const losses = this.#losses.get(id);
    if (losses === undefined) return 0;
    const ago = this.#options.now() - losses.at;
    if (ago > FORGIVEN_MS) this.#losses.delete(id);
    return losses.count < 2 ? 0 : Math.max(0, Math.min(LONGEST_HOLD_MS, FIRST_HOLD_MS * 2 ** (losses.count - 2)) - ago);
  }

  /** Whether requests may be sent to a worker: it answered when it was last asked, or was not asked yet. */
  takesRequests(id: string): boolean {
    const known = this.#known.get(id);
    return known !== undefined && (known.answers || known.standing === 'joining' || known.standing === 'reached');
  }

  /** Whether a worker is gone, as far as can be known: lost, and nothing answers for it. */
  isGone(id: string): boolean {
    const known = this.#known.get(id);
    return known?.standing === 'lost' && !known.answers;
  }

  /** Drops a worker that has departed. */
  forget(id: string): void {
    if (this.#known.get(id)?.departed === true) this.#known.delete(id);
  }

  #depart(known: Known): void {
    known.departed = true;
    if (known.standing !== 'lost') this.#become(known, 'lost', 'its heartbeats have ended');
    const departed = [...this.#known].filter(([, entry]) => entry.departed);
    const oldest = departed.sort(([, a], [, b]) => a.since - b.since)[0];
    if (departed.length > MAX_DEPARTED && oldest !== undefined) this.#known.delete(oldest[0]);
  }

  /** Its heartbeats come again. */
  #return(known: Known): void {
    known.departed = false;
    known.wasReached = known.answers;
    known.silentSince = null;
    this.#become(known, known.answers ? 'reached' : 'joining', '');
  }

  #countLoss(id: string): void {
    const now = this.#options.now();
    const before = this.#losses.get(id);
    const count = before === undefined || now - before.at > FORGIVEN_MS ? 1 : before.count + 1;
    this.#losses.delete(id); // The latest loss is the last entry.
    this.#losses.set(id, { count, at: now });
    const [oldest] = this.#losses.keys();
    if (this.#losses.size > MAX_LOSSES && oldest !== undefined) this.#losses.delete(oldest);
  }

  #become(known: Known, standing: Standing, reason: string): void {
    const before = known.standing;
    if (before === standing) return;
    if (standing === 'lost') this.#countLoss(known.worker.id);
    known.standing = standing;
    known.reason = reason;
    known.since = this.#options.now();
    known.sinceMs = this.#options.wallClock();
    this.#options.onChange(known, before);
  }
}

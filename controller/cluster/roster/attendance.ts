import { isDeepStrictEqual } from 'node:util';
import type { Bucket, Bus } from '../../../platform/bus/bus.ts';
import type { ClusterView } from '../../../platform/membership/cluster-view.ts';
import type { Clock } from '../../../platform/process/clock.ts';
import type { EventLog } from '../events/events.ts';
import type { Connection } from './connection.ts';
import { Contacts } from './contacts.ts';
import { listMissing, missingEvents, writeMissing } from './missing.ts';
import { Roster, type RosterEntry } from './roster.ts';

export interface AttendanceOptions {
  readonly view: ClusterView;
  readonly bus: Pick<Bus, 'state'>;
  readonly control: Bucket;
  readonly events: Pick<EventLog, 'publish'>;
  readonly connect: (address: string) => Connection;
  readonly clock: Clock;
  /** Milliseconds since the epoch. */
  readonly wallClock: () => number;
  /** Whether this controller leads: then it keeps the list of missing workers, and reports them. */
  readonly leads: () => boolean;
  /** Something was seen of some worker. */
  readonly onChange: () => void;
  readonly onError: (what: string, error: unknown) => void;
}

/** Milliseconds between looks at what time alone brings. */
const TICK_MS = 250;

/**
 * Calls the roll: every controller keeps contact to every worker and judges for itself which are there; the leader writes
 * down which are missing, and reports each change once.
 */
export class Attendance {
  readonly roster: Roster;
  readonly #options: AttendanceOptions;
  readonly #contacts: Contacts;
  #listed: ReadonlySet<string> = new Set();
  #writing = false;
  #again = false;
  #started = false;
  #cancelTick: () => void = () => undefined;

  constructor(options: AttendanceOptions) {
    const { clock, wallClock, connect } = options;
    this.#options = options;
    this.roster = new Roster({ now: () => clock.now(), wallClock, onChange: (entry) => this.#stood(entry) });
    this.#contacts = new Contacts({
      connect,
      clock,
      onSighting: (session, sighting) => {
        this.roster.saw(session, sighting);
        options.onChange();
      },
    });
  }

  /** Begins to let time do its part, and to write. */
  start(): void {
    this.#started = true;
    this.#tick();
  }

  /** Members have joined, left, or come back as other processes. */
  follow(): void {
    this.roster.follow(this.#options.view.workers);
    this.#contacts.follow(this.roster.entries());
    this.#changed();
  }

  /** A member could not reach a worker. Whether it is gone is for this controller to see. */
  lookNow(id: string): void {
    this.#contacts.lookNow(id);
  }

  /** The list of missing workers is another one: who was taken off it is forgotten. */
  listChanged(): void {
    const now = new Set(this.#options.view.missing.value.map(({ workerId }) => workerId));
    for (const id of this.#listed) if (!now.has(id)) this.roster.forget(id);
    this.#listed = now;
    this.#contacts.follow(this.roster.entries());
    this.writeList();
  }

  /** Brings the list of missing workers up to date, when this controller leads. */
  writeList(): void {
    this.#again = true;
    if (this.#started && !this.#writing) void this.#write();
  }

  close(): void {
    this.#started = false;
    this.#cancelTick();
    this.#contacts.close();
  }

  #stood({ worker, departed, answers }: RosterEntry): void {
    if (departed && answers) this.#contacts.lookNow(worker.id); // Does it stand still, or is only the bus away from it?
    this.#changed();
  }

  #changed(): void {
    this.#options.onChange();
    this.writeList();
  }

  #tick(): void {
    this.roster.tick(this.#options.bus.state === 'connected');
    this.writeList(); // This controller may lead only now, or the bus be back.
    this.#cancelTick = this.#options.clock.after(TICK_MS, () => this.#tick());
  }

  async #write(): Promise<void> {
    const { view, bus, control, events, leads, wallClock, onError } = this.#options;
    this.#writing = true;
    while (this.#again && this.#started) {
      this.#again = false;
      if (!leads() || bus.state !== 'connected') continue;
      const { value: before, revision } = view.missing;
      const now = listMissing(before, this.roster.entries(), wallClock());
      if (isDeepStrictEqual(now, before)) continue;
      try {
        if (!(await writeMissing(control, now, revision))) continue; // The view brings what stands there.
        for (const event of missingEvents(before, now, (id) => this.roster.get(id))) events.publish(event);
      } catch (error) {
        onError('missing workers', error);
      }
    }
    this.#writing = false;
  }
}

import type { Bucket } from '../../../platform/bus/bus.ts';
import { LEASE } from '../../../platform/bus/subjects.ts';
import type { LeaderLease__Output as LeaderLease } from '../../../proto/generated/conclave/v1/LeaderLease.ts';
import { conclave, decode, encode } from '../../../proto/messages.ts';

export interface LeaseOptions {
  readonly bucket: Bucket;
  readonly controllerId: string;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** Milliseconds since the epoch; only shown to people. */
  readonly wallClock: () => number;
  /** The lease is held from now on, under this term. */
  readonly onLead: (term: number) => void;
  /** The lease is no longer held. */
  readonly onFollow: () => void;
  /** Called with each error of the bus. */
  readonly onError: (error: unknown) => void;
  /** Highest term known from elsewhere, such as the plan in force: a bus that lost its data must not let terms begin at 1 again. */
  readonly leastTerm?: () => number;
  readonly renewMs?: number;
  readonly expiryMs?: number;
}

interface Held {
  readonly term: number;
  revision: number;
  /** When the last successful write was begun. */
  renewedAt: number;
}

/**
 * Leadership by a lease on the bus, written by compare-and-set; the term is the fencing token.
 *
 * Wall clocks are never compared. A candidate takes over once the lease has not changed for `expiryMs` by its own clock,
 * counted from when it saw the last change. The holder counts from before its last successful write, and steps down when
 * that is longer ago than `expiryMs` less one renewal: earlier than any candidate can have begun to wait that long.
 */
export class Lease {
  readonly #options: LeaseOptions;
  readonly #renewMs: number;
  readonly #expiryMs: number;
  #stopWatch: (() => void) | null = null;
  #timer: NodeJS.Timeout | null = null;
  #seen: { readonly lease: LeaderLease; readonly revision: number; readonly at: number } | null = null;
  #highestTerm = 0;
  #held: Held | null = null;
  #ready = false;
  #running: Promise<void> | null = null;

  constructor(options: LeaseOptions) {
    this.#options = options;
    this.#renewMs = options.renewMs ?? 1_000;
    this.#expiryMs = options.expiryMs ?? 3_500;
  }

  /** Term under which this controller leads, or null. */
  get term(): number | null {
    return this.#held?.term ?? null;
  }

  /** Highest term that this controller has held or seen. */
  get highestTerm(): number {
    return this.#highestTerm;
  }

  /** Watches the lease and begins to compete for it. */
  start(): void {
    const { bucket, now, onError } = this.#options;
    this.#stopWatch = bucket.watch(
      ({ key, value, revision }) => {
        if (key !== LEASE) return;
        try {
          this.#see(value === null ? null : { lease: decode(conclave.LeaderLease, value), revision, at: now() });
        } catch (error) {
          onError(error);
        }
      },
      () => {
        this.#ready = true;
        void this.tick();
      },
    );
    this.#timer = setInterval(() => void this.tick(), this.#renewMs / 2);
  }

  /** Gives the lease up, so that another controller takes over at once. */
  async stop(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    this.#stopWatch?.();
    this.#ready = false;
    await this.#running;
    const held = this.#held;
    if (held === null) return;
    this.#follow();
    const free = encode(conclave.LeaderLease, { controllerId: '', term: held.term, renewedAtMs: 0 });
    await this.#options.bucket.update(LEASE, free, held.revision).catch(this.#options.onError);
  }

  /** Renews the lease, or takes it when it is free. Called by the timer; tests call it. */
  async tick(): Promise<void> {
    this.#stepDownWhenLate(); // A process that stood still must not lead while it asks whether it may.
    if (this.#ready && this.#running === null) {
      this.#running = this.#write().finally(() => {
        this.#running = null;
      });
      await this.#running;
    }
    this.#stepDownWhenLate();
  }

  async #write(): Promise<void> {
    try {
      await (this.#held === null ? this.#acquire() : this.#renew(this.#held));
    } catch (error) {
      this.#options.onError(error);
    }
  }

  #see(seen: { readonly lease: LeaderLease; readonly revision: number; readonly at: number } | null): void {
    this.#seen = seen;
    this.#highestTerm = Math.max(this.#highestTerm, seen?.lease.term ?? 0);
    const held = this.#held;
    // A renewal whose answer was lost: it stands all the same, and the next one must be made from it.
    const own = seen?.lease.controllerId === this.#options.controllerId && seen.lease.term === held?.term;
    if (held !== null && own) held.revision = Math.max(held.revision, seen.revision);
  }

  async #renew(held: Held): Promise<void> {
    const { bucket, now } = this.#options;
    const startedAt = now();
    if (startedAt - held.renewedAt < this.#renewMs / 2) return;
    const revision = await (this.#seen === null
      ? bucket.create(LEASE, this.#claim(held.term)) // The bus forgot it.
      : bucket.update(LEASE, this.#claim(held.term), held.revision));
    if (this.#held !== held) return;
    if (revision === null) {
      this.#follow();
      return;
    }
    held.revision = revision;
    held.renewedAt = startedAt;
  }

  async #acquire(): Promise<void> {
    const { bucket, now, onLead, leastTerm } = this.#options;
    const seen = this.#seen;
    const startedAt = now();
    const free = seen === null || seen.lease.controllerId === '' || startedAt - seen.at > this.#expiryMs;
    if (!free) return;
    const term = Math.max(this.#highestTerm, leastTerm?.() ?? 0) + 1;
    const claim = this.#claim(term);
    const revision = await (seen === null ? bucket.create(LEASE, claim) : bucket.update(LEASE, claim, seen.revision));
    if (revision === null) return; // Another controller was faster.
    this.#highestTerm = term;
    this.#held = { term, revision, renewedAt: startedAt };
    onLead(term);
  }

  #stepDownWhenLate(): void {
    const held = this.#held;
    if (held !== null && this.#options.now() - held.renewedAt > this.#expiryMs - this.#renewMs) this.#follow();
  }

  #follow(): void {
    this.#held = null;
    this.#options.onFollow();
  }

  #claim(term: number): Buffer {
    const { controllerId, wallClock } = this.#options;
    return encode(conclave.LeaderLease, { controllerId, term, renewedAtMs: wallClock() });
  }
}

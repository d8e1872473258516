import { timingSafeEqual } from 'node:crypto';
import { Metadata } from '@grpc/grpc-js';

/**
 * Members of a cluster prove that they are by a secret that the leader keeps on the bus: whoever may read the bus is a
 * member. It travels in the metadata of every call between members; use TLS where the network is not trusted.
 */
const HEADER = 'conclave-member-key';

/** The current secret and the one before, so that a change does not break streams that are being opened. */
export class MemberKeys {
  #current: string | null = null;
  #previous: string | null = null;

  /** The secret, or null while none is known. */
  get current(): string | null {
    return this.#current;
  }

  /** Takes over a new secret. */
  set(key: string): void {
    if (key === this.#current) return;
    this.#previous = this.#current;
    this.#current = key;
  }

  /** Metadata for a call to another member. */
  metadata(): Metadata {
    const metadata = new Metadata();
    if (this.#current !== null) metadata.set(HEADER, this.#current);
    return metadata;
  }

  /** Whether a call comes from a member. False while no secret is known. */
  accepts(metadata: Metadata): boolean {
    const given = metadata.get(HEADER)[0];
    return typeof given === 'string' && [this.#current, this.#previous].some((key) => key !== null && same(given, key));
  }
}

function same(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}

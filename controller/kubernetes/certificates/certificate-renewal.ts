import { backgroundClock, type Clock } from '../../../platform/process/clock.ts';
import { type CertificateChange, type CertificateOptions, keepCertificates } from './keep-certificates.ts';

export interface RenewalOptions extends CertificateOptions {
  /** Whether this controller leads: only the leader writes. */
  readonly leads: () => boolean;
  readonly onChange: (change: CertificateChange) => void;
  /** Called with each look that failed; the next comes all the same. */
  readonly onError: (error: unknown) => void;
  readonly clock?: Clock;
}

const LOOK_MS = 30_000;

/**
 * Renews the cluster's certificates as long as this controller leads. A leader that has just been deposed may still be
 * writing; each write replaces the version that was read, so it cannot undo what its successor did.
 */
export class CertificateRenewal {
  readonly #options: RenewalOptions & { readonly clock: Clock };
  #cancel: () => void = () => undefined;
  #closed = false;

  constructor(options: RenewalOptions) {
    this.#options = { clock: backgroundClock, ...options };
    this.#lookLater();
  }

  close(): void {
    this.#closed = true;
    this.#cancel();
  }

  #lookLater(): void {
    if (this.#closed) return;
    this.#cancel = this.#options.clock.after(LOOK_MS, () => {
      void this.#look().finally(() => this.#lookLater());
    });
  }

  async #look(): Promise<void> {
    const { leads, onChange, onError } = this.#options;
    if (!leads()) return;
    try {
      for (const change of await keepCertificates(this.#options)) onChange(change);
    } catch (error) {
      onError(error);
    }
  }
}

import { FollowedFiles, type FollowOptions } from '../files/followed-files.ts';
import { parseTlsMaterial, type TlsMaterial, type TlsPaths } from './tls-material.ts';

/** A certificate, its key and authorities as they are now: files that may be replaced at any time. */
export interface TlsSource {
  readonly current: TlsMaterial;
  /** The one before; connections that began with it may still be there. Null: nothing has changed since the start. */
  readonly previous: TlsMaterial | null;
  /** Calls back after each change, until the returned function is called. */
  follow(listener: () => void): () => void;
}

/** What a server does with a source. */
export interface ServerTls {
  readonly source: TlsSource;
  /** Whether clients must show a certificate of the source's authority. */
  readonly clientCertificates: boolean;
}

export interface TlsReports extends Pick<FollowOptions<TlsMaterial>, 'clock' | 'pollMs' | 'onError'> {
  readonly onChange?: (material: TlsMaterial) => void;
  /** Milliseconds since 1970. */
  readonly wallClock?: () => number;
}

/** Follows the files of `paths`. A pair that does not match, or a certificate that has expired already, changes nothing. */
export class TlsFiles implements TlsSource {
  readonly #files: FollowedFiles<TlsMaterial>;
  readonly #listeners = new Set<() => void>();
  #previous: TlsMaterial | null = null;
  #reloads = 0;
  #failures = 0;

  /** Throws an error that names the file and what is wrong with it. */
  constructor(paths: TlsPaths, { onChange, onError, wallClock = Date.now, ...timing }: TlsReports) {
    const { certificate, privateKey, authority } = paths;
    let served: TlsMaterial | null = null;
    this.#files = new FollowedFiles<TlsMaterial>({
      ...timing,
      files: [
        { option: '--tls-cert', path: certificate },
        { option: '--tls-key', path: privateKey },
        ...(authority === null ? [] : [{ option: '--tls-ca', path: authority }]),
      ],
      parse: (contents) => {
        const material = parseTlsMaterial(paths, contents);
        if (served !== null) refuseExpired(material, served, certificate, wallClock());
        served = material;
        return material;
      },
      onChange: (material, before) => {
        this.#previous = before;
        this.#reloads += 1;
        for (const listener of this.#listeners) listener();
        onChange?.(material);
      },
      onError: (error) => {
        this.#failures += 1;
        onError(error);
      },
    });
  }

  get current(): TlsMaterial {
    return this.#files.value;
  }

  get previous(): TlsMaterial | null {
    return this.#previous;
  }

  /** How often other files took over, and how often some were refused. */
  get reloads(): { readonly succeeded: number; readonly failed: number } {
    return { succeeded: this.#reloads, failed: this.#failures };
  }

  follow(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#files.close();
  }
}

/** One that has ended is worse than the one that is served. */
function refuseExpired(next: TlsMaterial, served: TlsMaterial, path: string, nowMs: number): void {
  if (next.expiresAtMs > nowMs || next.expiresAtMs >= served.expiresAtMs) return;
  const end = new Date(next.expiresAtMs).toISOString();
  throw new Error(`--tls-cert ${path}: expected a certificate that is valid now, got one that expired ${end}`);
}

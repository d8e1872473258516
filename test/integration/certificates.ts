import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TlsFiles } from '../../platform/tls/tls-source.ts';

export interface CertificateFiles {
  readonly certificate: string;
  readonly key: string;
}

const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

/** An authority of certificates in a folder, as docs/cluster.md makes one. */
export class Authority {
  readonly certificate: string;
  readonly #folder: string;
  readonly #name: string;

  constructor(folder: string, name: string) {
    this.#folder = folder;
    this.#name = name;
    this.certificate = this.#path('crt');
    const files = ['-keyout', this.#path('key'), '-out', this.certificate];
    openssl('req', '-x509', ...newKey, '-days', '2', '-subj', `/CN=${name}`, ...files);
  }

  /** `names`: such as "IP:127.0.0.1" or "DNS:localhost". A negative number of days: expired. */
  issue(id: string, names: string, days = 2): CertificateFiles {
    const [certificate, key, request, extension] = ['crt', 'key', 'csr', 'ext'].map((end) =>
      this.#path(`${id}.${end}`),
    ) as [string, string, string, string];
    openssl('req', ...newKey, '-subj', `/CN=${id}`, '-keyout', key, '-out', request);
    writeFileSync(extension, `subjectAltName=${names}\n`);
    const signed = ['-CA', this.certificate, '-CAkey', this.#path('key'), '-CAcreateserial', '-days', String(days)];
    openssl('x509', '-req', '-in', request, ...signed, '-out', certificate, '-extfile', extension);
    return { certificate, key };
  }

  #path(end: string): string {
    return join(this.#folder, `${this.#name}.${end}`);
  }
}

function openssl(...parameters: readonly string[]): void {
  execFileSync('openssl', parameters, { stdio: ['ignore', 'ignore', 'pipe'] });
}

/** The files as a process follows them. */
export function followFiles({ certificate, key }: CertificateFiles, authority: string | null): TlsFiles {
  return new TlsFiles({ certificate, privateKey: key, authority }, { onError: () => undefined });
}

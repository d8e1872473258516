import { createPrivateKey, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';

/** Where a process's certificate, its key and the authorities that it trusts are, as PEM. */
export interface TlsPaths {
  readonly certificate: string;
  readonly privateKey: string;
  /** Null: the system's authorities are trusted, and no client has to show a certificate. */
  readonly authority: string | null;
}

/** What a process proves who it is with, and whom it trusts. The certificate is that of the key. */
export interface TlsMaterial {
  /** PEM: the certificate, then those between it and the authority. */
  readonly certificate: Buffer;
  /** PEM. */
  readonly privateKey: Buffer;
  /** PEM, one certificate or several; null: the system's authorities. */
  readonly authority: Buffer | null;
  /** The certificate's SHA-256, as node:tls writes it. */
  readonly fingerprint: string;
  /** When the certificate, or one of those that it depends on, ends; milliseconds since 1970. */
  readonly expiresAtMs: number;
  /** When the last of the authorities ends; null: the system's. */
  readonly authorityExpiresAtMs: number | null;
}

/** Throws an error that names the file and what is wrong with it. `contents`: certificate, key and, where given, authority. */
export function parseTlsMaterial(paths: TlsPaths, contents: readonly Buffer[]): TlsMaterial {
  const [certificate = Buffer.alloc(0), privateKey = Buffer.alloc(0), authority = null] = contents;
  const chain = certificatesOf('--tls-cert', paths.certificate, certificate);
  const authorities = authority === null ? null : certificatesOf('--tls-ca', paths.authority ?? '', authority);
  const [leaf] = chain;
  const key = named('--tls-key', paths.privateKey, () => createPrivateKey(privateKey));
  if (!leaf.checkPrivateKey(key)) {
    throw new Error(
      `--tls-key ${paths.privateKey}: expected the key of --tls-cert ${paths.certificate}, got another one's`,
    );
  }
  const options = { cert: certificate, key: privateKey, ...(authority !== null && { ca: authority }) };
  named('--tls-cert', paths.certificate, () => createSecureContext(options));
  return {
    ...{ certificate, privateKey, authority, fingerprint: leaf.fingerprint256 },
    expiresAtMs: Math.min(...chain.map(endOf)),
    authorityExpiresAtMs: authorities === null ? null : Math.max(...authorities.map(endOf)),
  };
}

/** Those of a PEM file, at least one. */
function certificatesOf(flag: string, path: string, pem: Buffer): readonly [X509Certificate, ...X509Certificate[]] {
  const blocks = pem.toString('latin1').match(/-----BEGIN CERTIFICATE-----[^]*?-----END CERTIFICATE-----/g) ?? [];
  const begun = pem.toString('latin1').split('-----BEGIN CERTIFICATE-----').length - 1;
  const [first, ...others] = blocks.map((block) => named(flag, path, () => new X509Certificate(block)));
  if (first === undefined || begun !== blocks.length) {
    throw new Error(`${flag} ${path}: expected certificates in PEM, got ${begun === 0 ? 'none' : 'half of one'}`);
  }
  return [first, ...others];
}

function named<T>(flag: string, path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new Error(`${flag} ${path}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

function endOf(certificate: X509Certificate): number {
  return Date.parse(certificate.validTo);
}

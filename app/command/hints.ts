/** Addresses and flags with which the commands that a server shows work as they stand. */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';

export interface HintsInput {
  readonly host: string;
  readonly tlsCert: string | null;
  readonly tlsCa: string | null;
  readonly tlsKey: string | null;
  readonly clientCertificates: 'required' | 'none';
}

export interface Hints {
  /** Host as it stands in a URL. */
  readonly authority: string;
  /** For curl, with a space before; empty where it needs none. */
  readonly curl: string;
  /** For conclave's own commands, likewise. */
  readonly operate: string;
}

export function hintsFor({ host, tlsCert, tlsKey, tlsCa, clientCertificates }: HintsInput): Hints {
  const certificate = tlsCert === null ? null : new X509Certificate(readFileSync(tlsCert));
  const shown = shownHost(host, certificate);
  const authority = isIP(shown) === 6 ? `[${shown}]` : shown;
  if (certificate === null) return { authority, curl: '', operate: '' };
  const issuer = tlsCa ?? (certificate.checkIssued(certificate) ? tlsCert : null);
  const own =
    tlsCa === null || clientCertificates === 'none' ? '' : ` --tls-cert ${quoted(tlsCert)} --tls-key ${quoted(tlsKey)}`;
  return {
    authority,
    curl: issuer === null ? '' : ` --cacert ${quoted(issuer)}`,
    operate: issuer === null ? ' --tls' : ` --tls-ca ${quoted(issuer)}${own}`,
  };
}

/** An address that reaches the server from this machine, and that its certificate names. */
function shownHost(host: string, certificate: X509Certificate | null): string {
  const local = host === '0.0.0.0' ? ['127.0.0.1', 'localhost'] : host === '::' ? ['::1', 'localhost'] : [host];
  if (certificate === null) return local[0] ?? host;
  const names = (certificate.subjectAltName ?? '')
    .split(', ')
    .map((name) => name.replace(/^(DNS|IP Address):/, ''))
    .filter((name) => name !== '' && !name.includes('*'));
  const named = (name: string): boolean =>
    (isIP(name) === 0 ? certificate.checkHost(name) : certificate.checkIP(name)) !== undefined;
  return local.find(named) ?? names[0] ?? host;
}

function quoted(path: string | null): string {
  const text = path ?? '';
  return /^[\w./@%+:,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

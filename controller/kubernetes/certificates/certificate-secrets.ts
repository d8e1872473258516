/** What the Secrets of a cluster's certificates hold. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import type { Authority, CertificateState, HeldLeaf, Leaf } from './decide.ts';
import type { KeyPair } from './issue.ts';
import { requireOwn, type Secret, SecretError } from './secret.ts';

/** The Secrets as they were read; null: not there. */
export interface CertificateSecrets {
  readonly authority: Secret | null;
  readonly leaves: readonly LeafSecret[];
}

export interface LeafSecret {
  readonly name: string;
  /** Names that the certificate must have. */
  readonly names: readonly string[];
  readonly secret: Secret | null;
}

/** The state, and the certificates behind its ids. */
export interface ReadCertificates {
  readonly state: CertificateState;
  /** PEM by id. */
  readonly certificates: ReadonlyMap<string, string>;
  /** The keys of those authorities that can sign. */
  readonly keys: ReadonlyMap<string, string>;
}

/** On the Secret of a certificate or of the authority: it is replaced, whatever its age. The write takes it off. */
export const RENEW_ANNOTATION = 'conclave.dev/renew';
/** When the latest authority was added to the bundle; ISO 8601. */
export const TRUSTED_ANNOTATION = 'conclave.dev/authority-added';

/** Throws a SecretError where a Secret is somebody else's, or the authority's cannot be used. */
export function readCertificates({ authority, leaves }: CertificateSecrets): ReadCertificates {
  const certificates = new Map<string, string>();
  const keys = new Map<string, string>();
  const note = (pem: string): Authority => {
    const certificate = new X509Certificate(pem);
    certificates.set(certificate.fingerprint256, pem);
    return { id: certificate.fingerprint256, ...validityOf(certificate) };
  };
  if (authority !== null) requireOwn(authority, 'authority');
  const authorities = authority === null ? [] : authorityPairs(authority);
  const kept = authorities.map(({ certificate, privateKey }, index) => {
    const known = note(certificate);
    keys.set(known.id, privateKey);
    return { ...known, renew: index === 0 && asksForAnother(authority) };
  });
  const bundles = leaves.flatMap(({ secret }) => certificatesIn(secret?.data['ca.crt'] ?? ''));
  const orphans = new Map(
    bundles.map(note).flatMap((found) => (keys.has(found.id) ? [] : [[found.id, found] as const])),
  );
  const states = leaves.map((leaf) => leafState(leaf, certificates));
  return { state: { authorities: kept, orphans: [...orphans.values()], leaves: states }, certificates, keys };
}

function asksForAnother(secret: Secret | null): boolean {
  return secret?.annotations[RENEW_ANNOTATION] !== undefined;
}

function authorityPairs(secret: Secret): readonly KeyPair[] {
  return ['tls', 'previous'].flatMap((which) => {
    const [certificate, privateKey] = [secret.data[`${which}.crt`], secret.data[`${which}.key`]];
    if ((certificate ?? '') === '' && (privateKey ?? '') === '') return [];
    const pair = usablePair(certificate ?? '', privateKey ?? '');
    if (pair !== null) return [{ certificate: pair.certificate, privateKey: privateKey ?? '' }];
    throw new SecretError(
      `Secret ${secret.name}: ${which}.key is not the key of the certificate in ${which}.crt`,
      `Delete the Secret: a new authority is made then, and takes over once every process trusts it.`,
    );
  });
}

function leafState({ name, names, secret }: LeafSecret, authorities: ReadonlyMap<string, string>): Leaf {
  if (secret === null) return { secret: name, names, held: null };
  requireOwn(secret, 'certificate');
  const pair = usablePair(secret.data['tls.crt'] ?? '', secret.data['tls.key'] ?? '');
  const held = pair === null ? null : heldLeaf(secret, pair.x509, authorities);
  return { secret: name, names, held, renew: asksForAnother(secret) };
}

function heldLeaf(secret: Secret, leaf: X509Certificate, authorities: ReadonlyMap<string, string>): HeldLeaf {
  const signer = [...authorities].find(([, pem]) => isSignedBy(leaf, new X509Certificate(pem)));
  return {
    ...validityOf(leaf),
    names: (leaf.subjectAltName ?? '').split(', ').map((name) => name.replace(/^(DNS|IP Address):/, '')),
    signer: signer?.[0] ?? null,
    trusts: certificatesIn(secret.data['ca.crt'] ?? '').map(idOf),
    trustsSinceMs: Date.parse(secret.annotations[TRUSTED_ANNOTATION] ?? '') || Date.parse(leaf.validFrom),
  };
}

function isSignedBy(leaf: X509Certificate, authority: X509Certificate): boolean {
  return leaf.checkIssued(authority) && leaf.verify(authority.publicKey);
}

/** Null where they are none, or do not go together. */
function usablePair(certificate: string, privateKey: string) {
  try {
    const x509 = new X509Certificate(certificate);
    return x509.checkPrivateKey(createPrivateKey(privateKey)) ? { certificate, x509 } : null;
  } catch {
    return null;
  }
}

/** PEM of each certificate in a bundle; what is none is left out. */
export function certificatesIn(bundle: string): readonly string[] {
  const blocks = bundle.match(/-----BEGIN CERTIFICATE-----[^]*?-----END CERTIFICATE-----/g) ?? [];
  return blocks.filter((block) => idOrNull(block) !== null).map((block) => `${block}\n`);
}

function idOrNull(pem: string): string | null {
  try {
    return idOf(pem);
  } catch {
    return null;
  }
}

export function idOf(pem: string): string {
  return new X509Certificate(pem).fingerprint256;
}

function validityOf({ validFrom, validTo }: X509Certificate) {
  return { fromMs: Date.parse(validFrom), untilMs: Date.parse(validTo) };
}

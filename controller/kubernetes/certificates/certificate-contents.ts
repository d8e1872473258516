/** What the Secrets of a cluster's certificates are to hold after a step. */
import { certificatesIn, idOf, RENEW_ANNOTATION, TRUSTED_ANNOTATION } from './certificate-secrets.ts';
import type { KeyPair } from './issue.ts';
import { PURPOSE_LABEL, type Secret, type SecretContent } from './secret.ts';

/** The Secret of the authority with a new one, the one before kept beside it. */
export function withAuthority(
  secret: Secret | null,
  name: string,
  labels: Secret['labels'],
  made: KeyPair,
): SecretContent {
  const before = secret?.data ?? {};
  const previous =
    before['tls.crt'] === undefined
      ? {}
      : { 'previous.crt': before['tls.crt'], 'previous.key': before['tls.key'] ?? '' };
  return {
    ...{ name, type: 'kubernetes.io/tls' },
    labels: { ...labels, ...secret?.labels, [PURPOSE_LABEL]: 'authority' },
    annotations: withoutRequest(secret?.annotations),
    data: { ...previous, 'tls.crt': made.certificate, 'tls.key': made.privateKey },
  };
}

/** The Secret of the authority without the one before. */
export function withoutPrevious(secret: Secret): SecretContent {
  const { 'previous.crt': _certificate, 'previous.key': _key, ...data } = secret.data;
  return { ...secret, data };
}

export interface LeafContent {
  readonly name: string;
  readonly labels: Secret['labels'];
  /** Null: the one that is there. */
  readonly pair: KeyPair | null;
  /** PEM of each authority of the bundle. */
  readonly bundle: readonly string[];
  readonly nowMs: number;
}

/** The Secret of a certificate with what it is to hold. */
export function withLeaf(secret: Secret | null, content: LeafContent): SecretContent {
  const { name, labels, pair, bundle, nowMs } = content;
  const before = certificatesIn(secret?.data['ca.crt'] ?? '').map(idOf);
  const added = bundle.some((pem) => !before.includes(idOf(pem)));
  const since = (added ? null : secret?.annotations[TRUSTED_ANNOTATION]) ?? new Date(nowMs).toISOString();
  return {
    ...{ name, type: 'kubernetes.io/tls' },
    labels: { ...labels, ...secret?.labels, [PURPOSE_LABEL]: 'certificate' },
    annotations: {
      ...(pair === null ? secret?.annotations : withoutRequest(secret?.annotations)),
      [TRUSTED_ANNOTATION]: since,
    },
    data: {
      ...secret?.data,
      ...(pair !== null && { 'tls.crt': pair.certificate, 'tls.key': pair.privateKey }),
      'ca.crt': bundle.join(''),
    },
  };
}

function withoutRequest(annotations: Secret['annotations'] = {}): Secret['annotations'] {
  const { [RENEW_ANNOTATION]: _request, ...others } = annotations;
  return others;
}

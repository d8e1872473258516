/** What a failed TLS connection means for the person at the terminal. */
export interface TlsFailure {
  /** A clause about the other side. */
  readonly reason: string;
  readonly remedy: string;
  /** The other side asks for a certificate, and got none. */
  readonly wantsCertificate?: true;
}

const untrusted: TlsFailure = {
  reason: 'its certificate is signed by no authority that is trusted here',
  remedy: 'Give the certificate of the authority that signed it with --tls-ca.',
};
const notTls: TlsFailure = {
  reason: 'it does not speak TLS',
  remedy: 'Leave the --tls flags out, or start it with --tls-cert and --tls-key.',
};
const wantsCertificate: TlsFailure = {
  reason: 'it asks for a certificate (mutual TLS)',
  remedy: 'Give one that its authority signed with --tls-cert and --tls-key.',
  wantsCertificate: true,
};
const refusesCertificate: TlsFailure = {
  reason: 'it does not accept the certificate of --tls-cert',
  remedy: 'Give one that its authority signed and that has not expired; "openssl x509 -noout -text -in FILE" shows it.',
};

const byCode: Readonly<Record<string, TlsFailure>> = {
  CERT_HAS_EXPIRED: { reason: 'its certificate has expired', remedy: 'Renew it, and start it again.' },
  CERT_NOT_YET_VALID: {
    reason: 'its certificate is not valid yet',
    remedy: 'Compare the clocks of both machines.',
  },
  DEPTH_ZERO_SELF_SIGNED_CERT: untrusted,
  SELF_SIGNED_CERT_IN_CHAIN: untrusted,
  UNABLE_TO_GET_ISSUER_CERT: untrusted,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: untrusted,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: untrusted,
  CERT_SIGNATURE_FAILURE: untrusted,
  CERT_UNTRUSTED: untrusted,
  SERVER_OPT_NA: notTls,
  ERR_SSL_WRONG_VERSION_NUMBER: notTls,
  ERR_SSL_PACKET_LENGTH_TOO_LONG: notTls,
  ERR_SSL_HTTP_REQUEST: notTls,
  EPROTO: notTls,
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: wantsCertificate,
};

/** Null when an error has nothing to do with TLS. `withCertificate`: whether this side shows a certificate. */
export function tlsFailure(error: unknown, withCertificate: boolean): TlsFailure | null {
  if (typeof error !== 'object' || error === null || !('code' in error)) return null;
  const { code } = error;
  if (typeof code !== 'string') return null;
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    const names = 'reason' in error && typeof error.reason === 'string' ? ` (${error.reason})` : '';
    return {
      reason: `its certificate is for another name${names}`,
      remedy: 'Use an address that the certificate names, or name this one among its subject alternative names.',
    };
  }
  const known = byCode[code];
  if (known !== undefined) return known;
  // The other side sent an alert, or closed the connection on seeing who is there.
  if (code === 'CLOSED_AFTER_HANDSHAKE' || /^ERR_SSL_.*ALERT/.test(code)) {
    return withCertificate ? refusesCertificate : wantsCertificate;
  }
  return null;
}

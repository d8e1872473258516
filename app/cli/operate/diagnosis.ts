/** Why a controller's gRPC port cannot be used with these TLS flags. */
import { isIP } from 'node:net';
import { probeTls } from '../../../proto/tls-probe.ts';
import { type TlsFailure, tlsFailure } from '../../command/tls-failure.ts';

export interface TlsContents {
  /** PEM; null: not given. */
  readonly ca: Buffer | null;
  readonly cert: Buffer | null;
  readonly key: Buffer | null;
}

const probeMs = 3_000;
/** What a client of HTTP/2 says first, with empty settings. */
const preface = Buffer.concat([
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]),
]);

/** `tls`: null when the connection is not encrypted. Null: TLS is not to blame. */
export async function findTlsMismatch(server: string, tls: TlsContents | null): Promise<TlsFailure | null> {
  const address = addressOf(server);
  if (address === null) return null;
  const to = { ...address, ALPNProtocols: ['h2'], ...(isIP(address.host) === 0 && { servername: address.host }) };
  if (tls === null) {
    const result = await probeTls({ ...to, rejectUnauthorized: false }, preface, probeMs);
    const wantsCertificate = result instanceof Error && tlsFailure(result, false)?.wantsCertificate === true;
    if (result !== 'answered' && !wantsCertificate) return null;
    return {
      reason: 'it serves TLS, and this connection is not encrypted',
      remedy:
        'Give the certificate of the authority that signed its own with --tls-ca, or --tls where this machine trusts it' +
        `${wantsCertificate ? '; and, as it asks for one (mutual TLS), a certificate with --tls-cert and --tls-key' : ''}.`,
    };
  }
  const { ca, cert, key } = tls;
  const result = await probeTls(
    { ...to, ...(ca !== null && { ca }), ...(cert !== null && { cert }), ...(key !== null && { key }) },
    preface,
    probeMs,
  );
  return result instanceof Error ? tlsFailure(result, cert !== null) : null;
}

function addressOf(server: string): { readonly host: string; readonly port: number } | null {
  try {
    const { hostname, port } = new URL(`tcp://${server}`);
    return port === '' ? null : { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port) };
  } catch {
    return null;
  }
}

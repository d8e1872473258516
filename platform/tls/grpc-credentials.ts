/**
 * gRPC's credentials that follow a TlsSource: every new connection is made with what the source has then, and connections
 * that are there stay. The library's own credentials keep the certificate that they were made with.
 */
import { checkServerIdentity, type PeerCertificate } from 'node:tls';
import { ChannelCredentials, credentials, ServerCredentials } from '@grpc/grpc-js';
import type { ServerTls, TlsSource } from './tls-source.ts';

/** For servers; null: not encrypted. */
export function serverCredentials(tls: ServerTls | null): ServerCredentials {
  return tls === null ? ServerCredentials.createInsecure() : new FollowingServerCredentials(tls);
}

/** For channels to other members; null: not encrypted. Throws where the system cannot use the certificate. */
export function channelCredentials(source: TlsSource | null): ChannelCredentials {
  return source === null ? credentials.createInsecure() : new FollowingChannelCredentials(source);
}

class FollowingServerCredentials extends ServerCredentials {
  constructor({ source, clientCertificates }: ServerTls) {
    super({ requestCert: clientCertificates, rejectUnauthorized: clientCertificates }, contextOf(source));
    source.follow(() => this.updateSecureContextOptions(contextOf(source)));
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}

function contextOf({ current: { certificate, privateKey, authority } }: TlsSource) {
  return { cert: certificate, key: privateKey, ...(authority !== null && { ca: authority }) };
}

class FollowingChannelCredentials extends ChannelCredentials {
  #current: ChannelCredentials;

  constructor(source: TlsSource) {
    super();
    this.#current = fixedCredentials(source);
    source.follow(() => {
      this.#current = fixedCredentials(source);
    });
  }

  override _isSecure(): boolean {
    return true;
  }

  override _equals(other: ChannelCredentials): boolean {
    return this === other;
  }

  override _createSecureConnector(
    ...parameters: Parameters<ChannelCredentials['_createSecureConnector']>
  ): ReturnType<ChannelCredentials['_createSecureConnector']> {
    const first = this.#current._createSecureConnector(...parameters);
    return {
      connect: (socket) => this.#current._createSecureConnector(...parameters).connect(socket),
      waitForReady: () => first.waitForReady(),
      getCallCredentials: () => first.getCallCredentials(),
      destroy: () => first.destroy(),
    };
  }
}

function fixedCredentials(source: TlsSource): ChannelCredentials {
  const { authority, privateKey, certificate } = source.current;
  return credentials.createSsl(authority, privateKey, certificate, { checkServerIdentity: identityBeside(source) });
}

/**
 * Who holds the key of this process's own certificate is trusted at any address: processes of one machine may share one.
 * So is who holds the one before, as not all see new files at the same moment.
 */
function identityBeside(source: TlsSource) {
  return (host: string, peer: PeerCertificate): Error | undefined =>
    peer.fingerprint256 === source.current.fingerprint || peer.fingerprint256 === source.previous?.fingerprint
      ? undefined
      : checkServerIdentity(host, peer);
}

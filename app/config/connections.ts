/** What flags say of connections, as the connections need it. Files are read now, so that what is wrong is said at start. */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { checkServerIdentity, type PeerCertificate } from 'node:tls';
import { type ChannelCredentials, credentials } from '@grpc/grpc-js';
import type { NatsOptions } from '../../platform/bus/nats-options.ts';
import type { TlsFiles } from '../../platform/rpc/server.ts';
import { ConfigError } from './load-config.ts';
import { readNatsUrls } from './nats-urls.ts';

export interface TlsConfig {
  readonly tlsCert: string | null;
  readonly tlsKey: string | null;
  readonly tlsCa: string | null;
}

export interface NatsConfig extends TlsConfig {
  readonly nats: readonly string[] | null;
  readonly natsUser: string | null;
  readonly natsPassword: string | null;
  readonly natsToken: string | null;
  readonly natsCredentials: string | null;
  readonly natsNkey: string | null;
}

export interface Tls {
  /** What this process serves with; null: not encrypted. */
  readonly server: TlsFiles | null;
  /** The same for HTTP, where no client has to show a certificate: probes and most clients have none. */
  readonly http: TlsFiles | null;
  /** What it connects to others with. */
  readonly credentials: ChannelCredentials;
}

/** Throws a ConfigError that lists everything that is wrong. */
export function readTls({ tlsCert, tlsKey, tlsCa }: TlsConfig): Tls {
  const problems: string[] = [];
  const read = (flag: string, path: string | null): Buffer | null => {
    if (path === null) return null;
    try {
      return readFileSync(path);
    } catch (error) {
      problems.push(`--${flag} ${path}: ${error instanceof Error ? error.message : String(error)}`);
      return null;
    }
  };
  if ((tlsCert === null) !== (tlsKey === null)) {
    problems.push('--tls-cert and --tls-key belong together: expected both or neither');
  }
  if (tlsCa !== null && tlsCert === null) {
    problems.push('--tls-ca: members prove who they are by certificates; expected --tls-cert and --tls-key too');
  }
  const [certificate, privateKey, authority] = [
    read('tls-cert', tlsCert),
    read('tls-key', tlsKey),
    read('tls-ca', tlsCa),
  ];
  if (problems.length > 0) throw new ConfigError(problems);
  if (certificate === null || privateKey === null) {
    return { server: null, http: null, credentials: credentials.createInsecure() };
  }
  try {
    return {
      server: { certificate, privateKey, clientAuthority: authority },
      http: { certificate, privateKey, clientAuthority: null },
      credentials: credentials.createSsl(authority, privateKey, certificate, {
        checkServerIdentity: identityBeside(new X509Certificate(certificate)),
      }),
    };
  } catch (error) {
    throw new ConfigError([`--tls-cert, --tls-key: ${error instanceof Error ? error.message : String(error)}`]);
  }
}

/** Who holds the key of this process's own certificate is trusted at any address: processes of one machine may share one. */
function identityBeside(own: X509Certificate) {
  return (host: string, peer: PeerCertificate): Error | undefined =>
    peer.fingerprint256 === own.fingerprint256 ? undefined : checkServerIdentity(host, peer);
}

/** `name`: how the connection is called in the server's reports. Throws a ConfigError. */
export function natsOptions(config: NatsConfig, name: string): NatsOptions {
  const { nats, natsUser, natsPassword, natsToken, natsCredentials, natsNkey, tlsCert, tlsKey, tlsCa } = config;
  if (nats === null) {
    throw new ConfigError([
      '--nats: expected the URL of a NATS server with JetStream, such as nats://127.0.0.1:4222; start one with "nats-server -js"',
    ]);
  }
  const urls = readNatsUrls(nats);
  const ways = [natsUser, natsToken, natsCredentials, natsNkey, urls.user, urls.token];
  if (ways.filter((way) => way !== null).length > 1) {
    throw new ConfigError([
      '--nats-user, --nats-token, --nats-credentials, --nats-nkey, credentials in --nats: expected one way to log in, got several',
    ]);
  }
  const [user, password, token] = [natsUser ?? urls.user, natsPassword ?? urls.password, natsToken ?? urls.token];
  return {
    servers: urls.servers,
    name,
    ...(user !== null && { user }),
    ...(password !== null && { password }),
    ...(token !== null && { token }),
    ...(natsCredentials !== null && { credentialsFile: natsCredentials }),
    ...(natsNkey !== null && { nkeyFile: natsNkey }),
    ...(tlsCert !== null && {
      tls: { ...(tlsCa !== null && { ca: tlsCa }), cert: tlsCert, ...(tlsKey !== null && { key: tlsKey }) },
    }),
  };
}

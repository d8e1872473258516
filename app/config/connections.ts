/** What flags say of connections, as the connections need it. Files are read now, so that what is wrong is said at start. */
import type { ChannelCredentials } from '@grpc/grpc-js';
import type { NatsOptions } from '../../platform/bus/nats-options.ts';
import { channelCredentials } from '../../platform/tls/grpc-credentials.ts';
import type { TlsMaterial } from '../../platform/tls/tls-material.ts';
import { type ServerTls, TlsFiles, type TlsSource } from '../../platform/tls/tls-source.ts';
import { ConfigError } from './load-config.ts';
import { readNatsUrls } from './nats-urls.ts';

export interface TlsConfig {
  readonly tlsCert: string | null;
  readonly tlsKey: string | null;
  readonly tlsCa: string | null;
  /** Whether clients and operators must show a certificate of --tls-ca; other members always must. */
  readonly clientCertificates?: 'required' | 'none';
}

export interface NatsConfig {
  readonly nats: readonly string[] | null;
  readonly natsUser: string | null;
  readonly natsPassword: string | null;
  readonly natsToken: string | null;
  readonly natsCredentials: string | null;
  readonly natsNkey: string | null;
}

export interface Tls {
  /** The files, followed from now on; null: connections are not encrypted. */
  readonly files: TlsFiles | null;
  /** What this process serves with. */
  readonly server: ServerTls | null;
  /** What it connects to others with. */
  readonly credentials: ChannelCredentials;
}

/** Where it is written that files were replaced while the process runs. */
export interface ReloadLog {
  info(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** Throws a ConfigError that lists everything that is wrong. */
export function readTls({ tlsCert, tlsKey, tlsCa, clientCertificates }: TlsConfig, log: ReloadLog): Tls {
  const problems: string[] = [];
  if ((tlsCert === null) !== (tlsKey === null)) {
    problems.push('--tls-cert and --tls-key belong together: expected both or neither');
  }
  if (tlsCa !== null && tlsCert === null) {
    problems.push('--tls-ca: members prove who they are by certificates; expected --tls-cert and --tls-key too');
  }
  if (problems.length > 0) throw new ConfigError(problems);
  if (tlsCert === null || tlsKey === null) return { files: null, server: null, credentials: channelCredentials(null) };
  const files = followTls({ tlsCert, tlsKey, tlsCa }, log);
  return {
    files,
    server: { source: files, clientCertificates: tlsCa !== null && clientCertificates !== 'none' },
    credentials: channelCredentials(files),
  };
}

function followTls(
  { tlsCert, tlsKey, tlsCa }: { readonly tlsCert: string; readonly tlsKey: string; readonly tlsCa: string | null },
  log: ReloadLog,
): TlsFiles {
  try {
    const paths = { certificate: tlsCert, privateKey: tlsKey, authority: tlsCa };
    return new TlsFiles(paths, {
      onChange: (material) => log.info(endsOf(material), 'the certificate was replaced: new connections use it'),
      onError: (err) => log.error({ err }, 'the certificate stays the one before: its files hold no better one'),
    });
  } catch (error) {
    throw new ConfigError([error instanceof Error ? error.message : String(error)]);
  }
}

function endsOf({ expiresAtMs, fingerprint }: TlsMaterial): object {
  return { expires: new Date(expiresAtMs).toISOString(), fingerprint };
}

/** `name`: how the connection is called in the server's reports. Throws a ConfigError. */
export function natsOptions(config: NatsConfig, name: string, tls: TlsSource | null): NatsOptions {
  const { nats, natsUser, natsPassword, natsToken, natsCredentials, natsNkey } = config;
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
    ...(tls !== null && { tls }),
  };
}

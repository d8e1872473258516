import { readFileSync } from 'node:fs';
import { type ConnectionOptions, credsAuthenticator, nkeyAuthenticator } from 'nats';
import { BusError } from './bus.ts';
import { serverIdentity } from './nats-tls.ts';

/** How to reach NATS and who to be there. At most one way of authentication. */
export interface NatsOptions {
  /** Such as "nats://10.0.0.1:4222" or "tls://nats.example:4222"; any of them will do. */
  readonly servers: readonly string[];
  /** Name of this connection in the server's reports. */
  readonly name: string;
  readonly user?: string;
  readonly password?: string;
  readonly token?: string;
  /** File with a user's JWT and seed, as `nsc` writes it. */
  readonly credentialsFile?: string;
  /** File with a user's seed. */
  readonly nkeyFile?: string;
  readonly tls?: NatsTlsOptions;
}

/** PEM files. Without `ca` the system's authorities are trusted; `cert` and `key` prove who the client is. */
export interface NatsTlsOptions {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

/** A connection whose server does not answer is given up after about three of these. */
const pingMs = 1_500;

/**
 * Options for the client. Reads the files now, so that what is wrong with them is said at start. `delayMs` is asked how long
 * to wait between tries to reconnect.
 */
export function connectionOptions(options: NatsOptions, delayMs: () => number): ConnectionOptions {
  return {
    servers: [...options.servers],
    name: options.name,
    maxReconnectAttempts: -1,
    ignoreAuthErrorAbort: true,
    reconnectDelayHandler: delayMs,
    pingInterval: pingMs,
    maxPingOut: 2,
    timeout: 2_000,
    ...credentials(options),
    ...tls(options),
  };
}

function credentials(options: NatsOptions): Partial<ConnectionOptions> {
  const { user, password, token, credentialsFile, nkeyFile } = options;
  const given = [user, token, credentialsFile, nkeyFile].filter((value) => value !== undefined);
  if (given.length > 1) {
    throw new BusError('INVALID_ARGUMENT', 'NATS: expected one of user, token, credentials file and nkey file');
  }
  if (user !== undefined) return password === undefined ? { user } : { user, pass: password };
  if (token !== undefined) return { token };
  if (credentialsFile !== undefined) {
    return { authenticator: credsAuthenticator(read('NATS credentials', credentialsFile)) };
  }
  if (nkeyFile === undefined) return {};
  const seed = read('NATS nkey', nkeyFile).toString('utf8').trim();
  return { authenticator: nkeyAuthenticator(new TextEncoder().encode(seed)) };
}

/** TLS is asked for by options or by the scheme of a server; a server that wants it otherwise gets it too. */
function tls({ servers, tls: files }: NatsOptions): Pick<ConnectionOptions, 'tls'> {
  if (files === undefined && !servers.some((server) => server.startsWith('tls://'))) return {};
  return { tls: { ...tlsFiles(files ?? {}), checkServerIdentity: serverIdentity(servers) } as TlsOptions };
}

type TlsOptions = NonNullable<ConnectionOptions['tls']>;

/** Contents of the files, as node:tls takes them. */
export function tlsFiles({ ca, cert, key }: NatsTlsOptions): { ca?: string; cert?: string; key?: string } {
  return {
    ...(ca === undefined ? {} : { ca: read('NATS TLS authority', ca).toString('utf8') }),
    ...(cert === undefined ? {} : { cert: read('NATS TLS certificate', cert).toString('utf8') }),
    ...(key === undefined ? {} : { key: read('NATS TLS key', key).toString('utf8') }),
  };
}

function read(what: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new BusError('INVALID_ARGUMENT', `${what}: cannot read ${path}`, { cause: error });
  }
}

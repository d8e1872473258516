import { readFileSync } from 'node:fs';
import { type ConnectionOptions, credsAuthenticator, nkeyAuthenticator } from 'nats';
import type { TlsSource } from '../tls/tls-source.ts';
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
  /** Proves who the client is, and whom it trusts; asked at every connection, so that a reconnect uses what is there then. */
  readonly tls?: TlsSource;
}

/** A connection whose server does not answer is given up after about three of these. */
const pingMs = 1_500;

/**
 * Options for the client. Reads the files now, so that what is wrong with them is said at start, and again at each connection,
 * so that new ones are taken without a restart. `delayMs` is asked how long
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
    ...tlsOptions(options),
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
    read('NATS credentials', credentialsFile);
    return { authenticator: (nonce) => credsAuthenticator(read('NATS credentials', credentialsFile))(nonce) };
  }
  if (nkeyFile === undefined) return {};
  const seed = (): Uint8Array => new TextEncoder().encode(read('NATS nkey', nkeyFile).toString('utf8').trim());
  seed();
  return { authenticator: (nonce) => nkeyAuthenticator(seed())(nonce) };
}

/** TLS is asked for by options or by the scheme of a server; a server that wants it otherwise gets it too. */
function tlsOptions({ servers, tls }: NatsOptions): Pick<ConnectionOptions, 'tls'> {
  if (tls === undefined && !servers.some((server) => server.startsWith('tls://'))) return {};
  const shown = tls === undefined ? {} : currentTls(tls);
  return { tls: Object.assign(shown, { checkServerIdentity: serverIdentity(servers) }) as TlsOptions };
}

type TlsOptions = NonNullable<ConnectionOptions['tls']>;

/** What a source has now, as node:tls takes it. The client library reads these properties whenever it connects. */
export function currentTls(source: TlsSource) {
  return {
    get cert(): string {
      return source.current.certificate.toString('utf8');
    },
    get key(): string {
      return source.current.privateKey.toString('utf8');
    },
    get ca(): string | undefined {
      return source.current.authority?.toString('utf8');
    },
  };
}

function read(what: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new BusError('INVALID_ARGUMENT', `${what}: cannot read ${path}`, { cause: error });
  }
}

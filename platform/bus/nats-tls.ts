/** TLS towards NATS: whose certificates are taken, and what went wrong when a connection fails. */
import { once } from 'node:events';
import { connect, isIP, type Socket } from 'node:net';
import { type ConnectionOptions, checkServerIdentity, type PeerCertificate } from 'node:tls';
import { probeTls } from '../../proto/tls-probe.ts';

const probeMs = 2_000;

/**
 * A server's certificate must name one of the servers that were given. The client library alone would look for "localhost" in
 * the certificate of a server that is given by its address.
 */
export function serverIdentity(servers: readonly string[]): NonNullable<ConnectionOptions['checkServerIdentity']> {
  const names = servers.map((server) => addressOf(server).host);
  return (_, certificate: PeerCertificate) => {
    const errors = names.map((name) => checkServerIdentity(name, certificate));
    return errors.includes(undefined) ? undefined : errors[0];
  };
}

export interface ProbedServers {
  readonly servers: readonly string[];
  /** Authorities that are trusted, and what this process shows; PEM. */
  readonly tls: Pick<ConnectionOptions, 'ca' | 'cert' | 'key'>;
}

/**
 * What is wrong with TLS between this process and a server that does not answer; null: nothing, or it cannot be known. The
 * client library keeps to itself that a server refused the client's certificate.
 */
export async function findTlsFailure({ servers, tls }: ProbedServers): Promise<Error | null> {
  for (const server of servers) {
    const { host, port } = addressOf(server);
    const socket = connect(port, host);
    const failure = await withinProbe(socket, async (gone) => {
      const [greeting] = (await once(socket, 'data', { signal: gone })) as [Buffer];
      if (!/"tls_(required|available)":\s*true/.test(greeting.toString('latin1'))) return null;
      const name = isIP(host) === 0 ? { servername: host } : {};
      const checked = { ...tls, ...name, checkServerIdentity: serverIdentity(servers) };
      const result = await probeTls({ ...checked, socket }, 'CONNECT {"verbose":false}\r\nPING\r\n', probeMs);
      return result instanceof Error ? result : null;
    });
    if (failure !== null) return failure;
  }
  return null;
}

async function withinProbe(socket: Socket, work: (gone: AbortSignal) => Promise<Error | null>): Promise<Error | null> {
  const gone = new AbortController();
  socket.once('close', () => gone.abort());
  socket.setTimeout(probeMs, () => socket.destroy());
  try {
    return await work(gone.signal);
  } catch {
    return null; // It does not answer at all.
  } finally {
    socket.destroy();
  }
}

/** Of "nats://HOST:PORT", in which scheme and port may be missing. */
function addressOf(server: string): { readonly host: string; readonly port: number } {
  const { hostname, port } = new URL(`tcp://${server.replace(/^\w+:\/\//, '')}`);
  return { host: hostname.replace(/^\[|\]$/g, ''), port: port === '' ? 4222 : Number(port) };
}

/** URLs of NATS servers, and who to be there. What is wrong with one is said without it: it may hold a password. */
import { ConfigError } from './load-config.ts';

export interface NatsUrls {
  /** Without credentials. */
  readonly servers: readonly string[];
  readonly user: string | null;
  readonly password: string | null;
  readonly token: string | null;
}

const form = /^(?:(nats|tls):\/\/)?(?:([^\s@]*)@)?([^\s/@:]+|\[[0-9A-Fa-f:.]+\])(?::(\d{1,5}))?\/?$/;

/** Reads nats://HOST:PORT, nats://USER:PASSWORD@HOST:PORT and nats://TOKEN@HOST:PORT. Throws a ConfigError. */
export function readNatsUrls(urls: readonly string[]): NatsUrls {
  const problems: string[] = [];
  const servers: string[] = [];
  const logins = new Set<string>();
  for (const [index, url] of urls.entries()) {
    const [, scheme, login, host, port] = form.exec(url) ?? [];
    // Credentials without a scheme are what is left of a password with a comma.
    if (host === undefined || (login !== undefined && scheme === undefined) || Number(port ?? 1) > 65_535) {
      const place = urls.length === 1 ? '--nats' : `--nats: URL ${index + 1} of ${urls.length}`;
      problems.push(
        `${place}: expected nats://HOST:PORT or tls://HOST:PORT, with credentials nats://USER:PASSWORD@HOST:PORT ` +
          '(in which "," is written %2C, "@" %40 and "%" %25); what was given is not shown, as it may hold a password',
      );
      continue;
    }
    servers.push(`${scheme === undefined ? '' : `${scheme}://`}${host}${port === undefined ? '' : `:${port}`}`);
    if (login !== undefined) logins.add(login);
  }
  if (logins.size > 1) problems.push('--nats: expected the same credentials in every URL that has some');
  if (problems.length > 0) throw new ConfigError(problems);
  return { servers, ...credentials([...logins][0]) };
}

function credentials(login: string | undefined): Omit<NatsUrls, 'servers'> {
  if (login === undefined || login === '') return { user: null, password: null, token: null };
  const [first = '', ...rest] = login.split(':');
  return rest.length === 0
    ? { user: null, password: null, token: decoded(first) }
    : { user: decoded(first), password: decoded(rest.join(':')), token: null };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new ConfigError(['--nats: expected "%" in credentials to be written %25']);
  }
}

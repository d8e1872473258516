/** Requests to the Hub and to the servers that it redirects to. */
import { EnvHttpProxyAgent, fetch, type Response } from 'undici';
import type { Clock } from '../../../platform/process/clock.ts';
import { HubError, TransientError } from './hub-error.ts';
import type { HubSettings } from './hub-settings.ts';
import { explainRefusal, isTransient, requestedWait } from './refusals.ts';

export interface HubClientOptions {
  readonly settings: HubSettings;
  readonly clock: Clock;
  readonly userAgent: string;
}

/** An answer whose body is read within deadlines. */
export interface HubResponse {
  readonly status: number;
  readonly headers: Response['headers'];
  /** To be read to its end or thrown away. Fails with a TransientError when the connection is cut or stands still. */
  body(): AsyncIterable<Uint8Array>;
  /** Ends an answer that is not read. */
  discard(): Promise<void>;
}

export interface HubRequest {
  /** Which model it is about, for errors. */
  readonly model: string;
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

export interface HubClient {
  readonly endpoint: string;
  /** Follows redirects. Throws a TransientError for what may pass, a HubError for a refusal. */
  get(request: HubRequest): Promise<HubResponse>;
  close(): Promise<void>;
}

const mostRedirects = 10;

export function createHubClient({ settings, clock, userAgent }: HubClientOptions): HubClient {
  const { endpoint, token, stallMs } = settings;
  const home = new URL(endpoint).origin;
  // Follows HTTPS_PROXY, HTTP_PROXY and NO_PROXY. Deadlines are our own, below.
  const dispatcher = new EnvHttpProxyAgent({ headersTimeout: 0, bodyTimeout: 0 });

  const get = async ({ model, url, headers, signal }: HubRequest): Promise<HubResponse> => {
    const stall = stallWatch(clock, stallMs, signal);
    let target = new URL(url);
    for (let redirects = 0; redirects <= mostRedirects; redirects++) {
      const atHome = target.origin === home;
      const response = await fetch(target, {
        dispatcher,
        redirect: 'manual',
        signal: stall.signal,
        headers: {
          ...headers,
          'user-agent': userAgent,
          'accept-encoding': 'identity',
          // The token is for the Hub alone: the servers that it redirects to have their own signature in the address.
          ...(atHome && token !== null && { authorization: `Bearer ${token}` }),
        },
      }).catch((error: unknown) => {
        stall.end();
        throw transportError(error, target, signal, stall.expired());
      });
      const location = response.headers.get('location');
      if (response.status >= 300 && response.status < 400 && location !== null) {
        await response.body?.cancel();
        target = redirected(location, target);
        continue;
      }
      if (response.ok) {
        return {
          status: response.status,
          headers: response.headers,
          body: () => readBody(response, target, signal, stall),
          discard: async () => {
            stall.end();
            await response.body?.cancel();
          },
        };
      }
      stall.end();
      await response.body?.cancel();
      // An address that a redirect gave has a lifetime: another try gets a new one.
      if (isTransient(response.status) || !atHome) {
        throw new TransientError(`${target.host} answered ${response.status}`, requestedWait(response.headers));
      }
      throw explainRefusal(response, { model, endpoint, token });
    }
    stall.end();
    throw new TransientError(`${new URL(url).host} redirected more than ${mostRedirects} times`);
  };
  return { endpoint, get, close: () => dispatcher.close() };
}

function redirected(location: string, from: URL): URL {
  const target = URL.canParse(location, from.href) ? new URL(location, from) : null;
  if (target === null || !['http:', 'https:'].includes(target.protocol)) {
    throw new TransientError(`${from.host} redirected to an address that is none`);
  }
  return target;
}

interface StallWatch {
  readonly signal: AbortSignal;
  /** Something came: the time begins again. */
  moved(): void;
  end(): void;
  expired(): boolean;
}

/** Aborts when nothing comes for `ms`, or when `signal` is aborted. */
function stallWatch(clock: Clock, ms: number, signal: AbortSignal): StallWatch {
  const stalled = new AbortController();
  const start = (): (() => void) => clock.after(ms, () => stalled.abort());
  let cancel = start();
  return {
    signal: AbortSignal.any([signal, stalled.signal]),
    moved: () => {
      cancel();
      cancel = start();
    },
    end: () => cancel(),
    expired: () => stalled.signal.aborted,
  };
}

async function* readBody(
  response: Response,
  source: URL,
  signal: AbortSignal,
  stall: StallWatch,
): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of response.body ?? []) {
      stall.moved();
      yield chunk as Uint8Array;
    }
  } catch (error) {
    throw transportError(error, source, signal, stall.expired());
  } finally {
    stall.end();
  }
}

/** Why a request failed without an answer. */
function transportError(error: unknown, target: URL, signal: AbortSignal, stalled: boolean): unknown {
  if (signal.aborted) return signal.reason;
  if (stalled) return new TransientError(`${target.host} sends nothing`);
  if (!(error instanceof Error)) return error;
  const cause = error.cause instanceof Error ? error.cause : error;
  const code = 'code' in cause ? String(cause.code) : '';
  if (/CERT|SELF_SIGNED|UNABLE_TO/.test(code)) {
    const remedy = 'NODE_EXTRA_CA_CERTS names a file with the certificates of further authorities.';
    return new HubError('HUB_UNREACHABLE', `${target.host}: its certificate is not trusted (${code})`, remedy, {
      cause,
    });
  }
  return new TransientError(`${target.host}: ${cause.message || code || 'the connection failed'}`, null, { cause });
}

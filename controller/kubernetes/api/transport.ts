/**
 * HTTPS to the API server. Whom to ask, and as whom, is the client library's: kubeconfigs, a pod's token and its renewal. Requests are
 * made here, because each needs a deadline: the library's own wait for ever on a connection whose other end is gone.
 */
import { type ClientRequest, request as httpRequest, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http';
import { Agent, request as httpsRequest, type RequestOptions } from 'node:https';
import { createInterface } from 'node:readline';
import type { KubeConfig } from '@kubernetes/client-node';
import { KubeError } from './kube-api.ts';

export interface Call {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  /** Such as "/api/v1/namespaces/moe/pods". */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly contentType?: string;
}

/** Milliseconds that the answer to a call may take. */
const DEADLINE_MS = 15_000;
/** Characters of an answer that are read at most; a list of a thousand pods takes about ten million. */
const LONGEST_ANSWER = 256 * 2 ** 20;

export class Transport {
  readonly #config: KubeConfig;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 32, keepAliveMsecs: 30_000 });

  constructor(config: KubeConfig) {
    this.#config = config;
  }

  /** The answer as JSON. Rejects with a KubeError. */
  async call(call: Call): Promise<unknown> {
    const signal = AbortSignal.timeout(DEADLINE_MS);
    const response = await this.#send(call, signal);
    return parsed(call, await text(call, response));
  }

  /**
   * Calls back for each line of an answer that does not end, as JSON. Resolves when the server ends it; rejects with a KubeError when it breaks,
   * is aborted, or goes on for longer than `longestMs`.
   */
  async lines(call: Call, onLine: (line: unknown) => void, signal: AbortSignal, longestMs: number): Promise<void> {
    const bounded = AbortSignal.any([signal, AbortSignal.timeout(longestMs)]);
    const response = await this.#send(call, bounded);
    try {
      for await (const line of createInterface({ input: response })) {
        if (line !== '') onLine(parsed(call, line));
      }
    } catch (error) {
      throw error instanceof KubeError ? error : unreached(call, error);
    }
    if (bounded.aborted || !response.complete) throw unreached(call, bounded.reason ?? 'the connection broke');
  }

  close(): void {
    this.#agent.destroy();
  }

  async #send(call: Call, signal: AbortSignal): Promise<IncomingMessage> {
    const cluster = this.#config.getCurrentCluster();
    if (cluster === null) throw new KubeError(whatOf(call), 0, 'the kubeconfig names no cluster');
    const url = new URL(
      `${cluster.server.replace(/\/$/, '')}${call.path}?${new URLSearchParams(call.query).toString()}`,
    );
    const given: OutgoingHttpHeaders = {};
    const options: RequestOptions = { method: call.method, headers: given };
    await this.#config.applyToHTTPSOptions(options);
    const body = call.body === undefined ? null : Buffer.from(JSON.stringify(call.body));
    const headers = {
      ...given,
      accept: 'application/json',
      ...(body === null
        ? {}
        : { 'content-type': call.contentType ?? 'application/json', 'content-length': String(body.byteLength) }),
    };
    const secure = url.protocol === 'https:';
    const settled = {
      ...options,
      ...{ headers, signal },
      agent: secure ? this.#agent : undefined,
      ...(cluster.skipTLSVerify ? { rejectUnauthorized: false } : {}),
      ...(cluster.tlsServerName === undefined ? {} : { servername: cluster.tlsServerName }),
    };
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const sent: ClientRequest = (secure ? httpsRequest : httpRequest)(url, settled, resolve);
      sent.on('error', (error) => reject(unreached(call, error)));
      sent.end(body ?? undefined);
    });
    const { statusCode = 0 } = response;
    if (statusCode >= 200 && statusCode < 300) return response;
    throw new KubeError(whatOf(call), statusCode, messageOf(await text(call, response)));
  }
}

async function text(call: Call, response: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let length = 0;
  try {
    for await (const part of response as AsyncIterable<Buffer>) {
      parts.push(part);
      length += part.byteLength;
      if (length > LONGEST_ANSWER) throw new Error(`the answer has more than ${LONGEST_ANSWER} bytes`);
    }
  } catch (error) {
    throw unreached(call, error);
  }
  return Buffer.concat(parts).toString('utf8');
}

function parsed(call: Call, json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    throw new KubeError(whatOf(call), 0, `expected JSON, got ${JSON.stringify(json.slice(0, 100))}`);
  }
}

/** What a Status says. */
function messageOf(body: string): string {
  try {
    const { message } = JSON.parse(body) as { readonly message?: unknown };
    return typeof message === 'string' ? message : body.slice(0, 500);
  } catch {
    return body.slice(0, 500);
  }
}

function unreached(call: Call, error: unknown): KubeError {
  return new KubeError(whatOf(call), 0, error instanceof Error ? error.message : String(error));
}

function whatOf({ method, path }: Call): string {
  return `${method} ${path}`;
}

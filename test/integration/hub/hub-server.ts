/**
 * A server that speaks the Hub's protocol: documents about a model, contents, and a second origin (the CDN) to which it
 * redirects for large files. Python's huggingface_hub fetches from it too, which says that it speaks it rightly.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';

export interface HubModel {
  readonly name: string;
  readonly commit: string;
  /** Branches and tags. */
  readonly refs: Readonly<Record<string, string>>;
  readonly files: Readonly<Record<string, Buffer>>;
  /** Paths whose contents are stored as large files. */
  readonly large: (path: string) => boolean;
  /** The token that contents need; null for none. */
  readonly token?: string | null;
  /** Whether documents need the token too. */
  readonly private?: boolean;
}

/** What a request does instead of what it should; consumed by the first request that fits. */
export interface Fault {
  /** Part of the requested address. */
  readonly on: string;
  readonly times?: number;
  readonly act: (response: ServerResponse, content: Buffer, request: IncomingMessage) => void;
}

export interface SeenRequest {
  readonly origin: 'hub' | 'cdn';
  readonly method: string;
  readonly url: string;
  readonly range: string | null;
  readonly authorization: string | null;
}

export class HubServer {
  readonly seen: SeenRequest[] = [];
  readonly faults: { readonly fault: Fault; left: number }[] = [];
  models: HubModel[];
  /** Entries of a listing on one page. */
  pageSize = 3;
  readonly #hub: Server;
  readonly #cdn: Server;

  private constructor(models: readonly HubModel[]) {
    this.models = [...models];
    this.#hub = createServer((request, response) => this.#answer(request, response));
    this.#cdn = createServer((request, response) => this.#answerContent(request, response));
  }

  /** Ends with the test. */
  static async start(...models: readonly HubModel[]): Promise<HubServer> {
    const server = await HubServer.listen('127.0.0.1', ...models);
    onTestFinished(() => server.stop());
    return server;
  }

  static async listen(host: string, ...models: readonly HubModel[]): Promise<HubServer> {
    const server = new HubServer(models);
    for (const one of [server.#hub, server.#cdn]) {
      one.listen(0, host);
      await once(one, 'listening');
    }
    return server;
  }

  get endpoint(): string {
    return origin(this.#hub);
  }

  fail(fault: Fault): void {
    this.faults.push({ fault, left: fault.times ?? 1 });
  }

  /** Requests for contents, as "path from", in their order. */
  get transfers(): readonly string[] {
    return this.seen
      .filter(({ origin: at, url }) => at === 'cdn' || url.includes('/resolve/'))
      .map(({ url, range }) => `${url}${range === null ? '' : ` ${range}`}`);
  }

  stop(): void {
    for (const server of [this.#hub, this.#cdn]) {
      server.closeAllConnections();
      server.close();
    }
  }

  #note(from: 'hub' | 'cdn', request: IncomingMessage): void {
    this.seen.push({
      origin: from,
      method: request.method ?? '',
      url: request.url ?? '',
      range: request.headers.range ?? null,
      authorization: request.headers.authorization ?? null,
    });
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    this.#note('hub', request);
    const url = new URL(request.url ?? '', this.endpoint);
    const { pathname } = url;
    const model = this.models.find(({ name }) => pathname.includes(`/${name}/`));
    if (model === undefined) return refuse(response, 401, 'RepoNotFound', 'Invalid username or password.');
    const mayRead = (model.token ?? null) === null || request.headers.authorization === `Bearer ${model.token}`;
    const rest = decodeURIComponent(pathname.slice(pathname.indexOf(model.name) + model.name.length + 1));
    const [kind = '', ...tail] = rest.split('/');
    const revision = tail[0] === 'refs' ? tail.slice(0, 3).join('/') : (tail[0] ?? '');
    const commit = revision === model.commit ? revision : model.refs[revision === 'HEAD' ? 'main' : revision];
    if (model.private === true && !mayRead) return refuse(response, 401, 'RepoNotFound', 'Repository Not Found');
    if (commit === undefined) return refuse(response, 404, 'RevisionNotFound', 'Invalid rev id');
    if (this.#act(request, response, Buffer.alloc(0), 'hub')) return;
    if (kind === 'revision') {
      return json(response, { _id: '1', id: model.name, sha: commit, private: false, gated: false, lastModified: 0 });
    }
    if (kind === 'tree') return this.#list(model, url, response);
    if (!mayRead) {
      const code = request.headers.authorization === undefined ? 401 : 403;
      return refuse(response, code, 'GatedRepo', `Access to model ${model.name} is restricted.`);
    }
    const path = tail.slice(revision.split('/').length).join('/');
    const content = model.files[path];
    if (content === undefined) return refuse(response, 404, 'EntryNotFound', 'Entry not found');
    response.setHeader('x-repo-commit', commit);
    if (!model.large(path)) return sendContent(request, response, content, gitHash(content));
    response.writeHead(302, {
      location: `${origin(this.#cdn)}/${sha256(content)}?of=${encodeURIComponent(path)}&signature=1`,
      'x-linked-etag': `"${sha256(content)}"`,
      'x-linked-size': content.byteLength,
    });
    response.end();
  }

  #list(model: HubModel, url: URL, response: ServerResponse): void {
    const entries = Object.entries(model.files).map(([path, content]) => {
      const file = { type: 'file', path, size: content.byteLength, oid: gitHash(content) };
      const lfs = { oid: sha256(content), size: content.byteLength, pointerSize: 134 };
      return model.large(path) ? { ...file, oid: '0'.repeat(40), lfs } : file;
    });
    const folders = new Set(entries.flatMap(({ path }) => (path.includes('/') ? [path.split('/')[0] ?? ''] : [])));
    const all = [
      ...[...folders].map((path) => ({ type: 'directory', path, size: 0, oid: 'f'.repeat(40) })),
      ...entries,
    ];
    const from = Number(url.searchParams.get('cursor') ?? 0);
    const next = new URL(url);
    next.searchParams.set('cursor', String(from + this.pageSize));
    if (from + this.pageSize < all.length) response.setHeader('link', `<${next.href}>; rel="next"`);
    json(response, all.slice(from, from + this.pageSize));
  }

  #answerContent(request: IncomingMessage, response: ServerResponse): void {
    this.#note('cdn', request);
    const etag = new URL(request.url ?? '', 'http://cdn').pathname.slice(1);
    const content = this.models.flatMap(({ files }) => Object.values(files)).find((one) => sha256(one) === etag);
    if (content === undefined) return refuse(response, 404, 'NoSuchKey', '');
    if (this.#act(request, response, content, 'cdn')) return;
    sendContent(request, response, content, etag);
  }

  #act(request: IncomingMessage, response: ServerResponse, content: Buffer, at: string): boolean {
    const chosen = this.faults.find(({ fault, left }) => left > 0 && `${at}:${request.url}`.includes(fault.on));
    if (chosen === undefined) return false;
    chosen.left -= 1;
    chosen.fault.act(response, content, request);
    return true;
  }
}

/** Sends a content or the range of it that was asked for. */
export function sendContent(request: IncomingMessage, response: ServerResponse, content: Buffer, etag: string): void {
  const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? [];
  response.setHeader('etag', `"${etag}"`);
  response.setHeader('accept-ranges', 'bytes');
  if (from === undefined) {
    response.writeHead(200, { 'content-length': content.byteLength });
    response.end(request.method === 'HEAD' ? undefined : content);
    return;
  }
  const end = to === '' || to === undefined ? content.byteLength : Number(to) + 1;
  const part = content.subarray(Number(from), end);
  response.writeHead(206, {
    'content-length': part.byteLength,
    'content-range': `bytes ${from}-${Number(from) + part.byteLength - 1}/${content.byteLength}`,
  });
  response.end(part);
}

export function sha256(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}

export function gitHash(content: Buffer): string {
  return createHash('sha1').update(`blob ${content.byteLength}\0`).update(content).digest('hex');
}

function json(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(JSON.stringify(value));
}

function refuse(response: ServerResponse, status: number, code: string, message: string): void {
  response.writeHead(status, { 'x-error-code': code, 'x-error-message': message });
  response.end();
}

function origin(server: Server): string {
  const { address, port } = server.address() as AddressInfo;
  return `http://${address}:${port}`;
}

import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { KubeConfig } from '@kubernetes/client-node';

interface Stored {
  metadata: { name: string; resourceVersion: string; [field: string]: unknown };
  [field: string]: unknown;
}

/** The API server's part for Secrets, on a real port: create, read, merge patch, versions, and rights. */
export class SecretServer {
  readonly secrets = new Map<string, Stored>();
  /** Verbs that are refused. */
  readonly forbidden = new Set<string>();
  readonly #server: Server;
  #version = 0;

  private constructor() {
    this.#server = createServer((request, response) => {
      void text(request).then((body) => {
        const [status, answer] = this.#answer(request.method ?? '', request.url ?? '', body);
        response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
      });
    });
  }

  static async start(): Promise<SecretServer> {
    const started = new SecretServer();
    started.#server.listen(0, '127.0.0.1');
    await once(started.#server, 'listening');
    return started;
  }

  get kubeconfig(): string {
    const { port } = this.#server.address() as AddressInfo;
    return JSON.stringify({
      ...{ apiVersion: 'v1', kind: 'Config', 'current-context': 'test' },
      clusters: [{ name: 'test', cluster: { server: `http://127.0.0.1:${port}`, 'insecure-skip-tls-verify': true } }],
      users: [{ name: 'test', user: {} }],
      contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
    });
  }

  get config(): KubeConfig {
    const config = new KubeConfig();
    config.loadFromString(this.kubeconfig);
    return config;
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #answer(method: string, url: string, body: string): readonly [number, object] {
    const [, namespace = '', name] = /^\/api\/v1\/namespaces\/([^/]+)\/secrets(?:\/([^/?]+))?\??$/.exec(url) ?? [];
    const verb = { GET: 'get', POST: 'create', PATCH: 'patch' }[method] ?? method;
    if (this.forbidden.has(verb)) {
      const user = 'system:serviceaccount:default:conclave';
      return failure(403, `secrets is forbidden: User "${user}" cannot ${verb} resource "secrets" in API group ""`);
    }
    const given = body === '' ? null : (JSON.parse(body) as Stored);
    const key = name ?? given?.metadata.name ?? '';
    if (namespace !== 'default') return failure(404, `namespaces "${namespace}" not found`);
    const before = this.secrets.get(key);
    if (method === 'POST') {
      return before === undefined ? [201, this.#store(key, given!)] : failure(409, `secrets "${key}" already exists`);
    }
    if (before === undefined) return failure(404, `secrets "${key}" not found`);
    if (method === 'GET') return [200, before];
    const wanted = given?.metadata.resourceVersion;
    if (wanted !== undefined && wanted !== before.metadata.resourceVersion) {
      return failure(409, `Operation cannot be fulfilled on secrets "${key}": the object has been modified`);
    }
    return [200, this.#store(key, merged(before, given) as Stored)];
  }

  #store(key: string, secret: Stored): Stored {
    const stored = { ...secret, metadata: { ...secret.metadata, name: key, resourceVersion: String(++this.#version) } };
    this.secrets.set(key, stored);
    return stored;
  }
}

function failure(code: number, message: string): readonly [number, object] {
  return [code, { kind: 'Status', status: 'Failure', message, code }];
}

/** RFC 7386. */
function merged(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const result: Record<string, unknown> = { ...(target as object) };
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = merged(result[key], value);
  }
  return result;
}

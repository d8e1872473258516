import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { KubeConfig } from '@kubernetes/client-node';
import type { KubeApi } from '../../../controller/kubernetes/api/kube-api.ts';
import { kubeClient } from '../../../controller/kubernetes/api/kube-client.ts';
import { Transport } from '../../../controller/kubernetes/api/transport.ts';
import { findProgram } from '../find-program.ts';

/** Where test/kubernetes/cluster/up.sh puts the programs that it builds. */
const cache = process.env['KUBE_CACHE'] ?? join(homedir(), '.cache/conclave-kubernetes');
const missing = ['kube-apiserver', 'etcd', 'openssl'].filter((name) => pathOf(name) === null);

/** Null: it is nowhere. */
function pathOf(name: string): string | null {
  const versions = existsSync(cache) ? readdirSync(cache).map((version) => join(cache, version, name)) : [];
  return findProgram(name) ?? versions.find((path) => existsSync(path)) ?? null;
}

/** Where one of the programs is missing; the suffix of a test's name says which. */
export const apiServerSkipped = {
  skip: missing.length > 0,
  suffix:
    missing.length === 0
      ? ''
      : ` (skipped: ${missing.join(', ')} is missing; test/kubernetes/cluster/up.sh build makes it)`,
};

const readyMs = 60_000;
const pollMs = 100;

/** A real API server with its etcd, and none of the controllers: what StatefulSets and autoscalers do, tests do. */
export class ApiServer {
  readonly #folder: string;
  readonly #token = randomBytes(16).toString('hex');
  readonly #operatorToken = randomBytes(16).toString('hex');
  #etcd: ChildProcess | null = null;
  #server: ChildProcess | null = null;
  #etcdUrls: readonly string[] = [];
  #port = 0;
  #transport: Transport | null = null;

  static async start(): Promise<ApiServer> {
    const server = new ApiServer(await mkdtemp(join(tmpdir(), 'conclave-kube-')));
    try {
      await server.#startEtcd();
      await server.restart();
      return server;
    } catch (error) {
      await server.stop();
      throw error;
    }
  }

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Everything, for the test. */
  get admin(): Transport {
    this.#transport ??= new Transport(this.#config(this.#token));
    return this.#transport;
  }

  /** As the user "operator", who may do what a Role says. */
  operator(namespace: string): KubeApi {
    return kubeClient(this.#config(this.#operatorToken), namespace);
  }

  /** Ends the API server and starts it again on the same port, with what etcd has. */
  async restart(): Promise<void> {
    await end(this.#server);
    const file = (name: string) => join(this.#folder, name);
    if (this.#port === 0) {
      this.#port = await freePort();
      execFileSync('openssl', ['genrsa', '-out', file('sa.key'), '2048'], { stdio: 'ignore' });
      const users = [`${this.#token},admin,1,system:masters`, `${this.#operatorToken},operator,2`];
      await writeFile(file('tokens.csv'), `${users.join('\n')}\n`);
    }
    this.#server = this.#spawn('kube-apiserver', [
      ...[
        '--etcd-servers',
        this.#etcdUrls[0] ?? '',
        '--secure-port',
        String(this.#port),
        '--bind-address',
        '127.0.0.1',
      ],
      ...['--cert-dir', file('certs'), '--token-auth-file', file('tokens.csv'), '--authorization-mode', 'RBAC'],
      ...['--service-account-key-file', file('sa.key'), '--service-account-signing-key-file', file('sa.key')],
      ...['--service-account-issuer', 'https://test', '--service-cluster-ip-range', '10.0.0.0/24'],
      ...['--disable-admission-plugins', 'ServiceAccount'],
    ]);
    await this.#untilReady();
  }

  /** Ends the API server only. */
  async down(): Promise<void> {
    await end(this.#server);
    this.#server = null;
  }

  async stop(): Promise<void> {
    this.#transport?.close();
    await end(this.#server);
    await end(this.#etcd);
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #startEtcd(): Promise<void> {
    const [client, peer] = [await freePort(), await freePort()].map((port) => `http://127.0.0.1:${port}`);
    this.#etcdUrls = [client ?? '', peer ?? ''];
    this.#etcd = this.#spawn('etcd', [
      ...['--data-dir', join(this.#folder, 'etcd'), '--unsafe-no-fsync', '--name', 'test'],
      ...['--listen-client-urls', client ?? '', '--advertise-client-urls', client ?? ''],
      ...['--listen-peer-urls', peer ?? '', '--initial-advertise-peer-urls', peer ?? ''],
      ...['--initial-cluster', `test=${peer}`],
    ]);
  }

  #spawn(name: string, args: readonly string[]): ChildProcess {
    return spawn(pathOf(name) ?? name, args, { stdio: 'ignore' });
  }

  async #untilReady(): Promise<void> {
    const deadline = performance.now() + readyMs;
    for (;;) {
      try {
        await this.admin.call({ method: 'GET', path: '/api/v1/namespaces/default' });
        return;
      } catch (error) {
        if (this.#server?.exitCode !== null || performance.now() > deadline) throw error;
        await new Promise((resolve) => setTimeout(resolve, pollMs));
      }
    }
  }

  #config(token: string): KubeConfig {
    const config = new KubeConfig();
    const server = `https://127.0.0.1:${this.#port}`;
    config.loadFromClusterAndUser({ name: 'test', server, skipTLSVerify: true }, { name: 'test', token });
    return config;
  }
}

async function end(child: ChildProcess | null): Promise<void> {
  if (child === null || child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}

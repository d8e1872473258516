import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { freePorts } from '../../../app/supervise/free-ports.ts';
import { NatsBus, type NatsBusOptions } from '../../../platform/bus/nats-bus.ts';
import type { TlsFiles } from '../../../platform/tls/tls-source.ts';
import { bytes } from '../bus/contract.ts';
import { Authority, type CertificateFiles, followFiles } from '../certificates.ts';
import { findNatsServer, natsServerMissing } from '../nats-server.ts';
import { MountedSecret } from './mounted-secret.ts';

const binary = findNatsServer();
const soon = { timeout: 30_000, interval: 50 };

let folder = '';
let older: Authority;
let newer: Authority;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'conclave-nats-servers-'));
  [older, newer] = [new Authority(folder, 'older'), new Authority(folder, 'newer')];
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const holds = ({ certificate, key }: CertificateFiles, ...authorities: readonly Authority[]) => ({
  'tls.crt': readFileSync(certificate),
  'tls.key': readFileSync(key),
  'ca.crt': Buffer.concat(authorities.map((authority) => readFileSync(authority.certificate))),
});

interface Ports {
  readonly client: number;
  readonly route: number;
  readonly monitor: number;
}

/**
 * As the chart configures them: certificates demanded from clients and between servers, and passwords besides. The user stands
 * in a list: with "user" alone the server drops every client when it reads its files again.
 */
function configuration(secret: MountedSecret, name: string, ports: Ports, routes: readonly number[]): string {
  const tls = `tls { cert_file: "${secret.path('tls.crt')}", key_file: "${secret.path('tls.key')}", ca_file: "${secret.path('ca.crt')}", verify: true, timeout: 5 }`;
  const urls = routes.map((port) => `"nats-route://routes:hidden@127.0.0.1:${port}"`).join(', ');
  return `
    server_name: ${name}
    listen: "127.0.0.1:${ports.client}"
    http: "127.0.0.1:${ports.monitor}"
    authorization { users: [{ user: conclave, password: hidden }] }
    ${tls}
    jetstream { store_dir: "${join(folder, name)}" }
    cluster {
      name: test
      listen: "127.0.0.1:${ports.route}"
      no_advertise: true
      routes: [${urls}]
      authorization { user: routes, password: hidden, timeout: 5 }
      ${tls}
    }`;
}

/** Names of the servers that a server is connected to. */
async function peersOf({ monitor }: Ports): Promise<readonly string[]> {
  const answer = await fetch(`http://127.0.0.1:${monitor}/routez`);
  const { routes = [] } = (await answer.json()) as { readonly routes?: readonly { readonly remote_name: string }[] };
  return [...new Set(routes.map(({ remote_name }) => remote_name))].sort();
}

describe.skipIf(binary === null)(`three NATS servers${binary === null ? ` (${natsServerMissing})` : ''}`, () => {
  it('take a new authority and new certificates by SIGHUP, towards clients and each other, and lose no connection', async () => {
    const [before, after] = [older, newer].map((authority) => authority.issue('nats', 'IP:127.0.0.1'));
    const secret = new MountedSecret(join(folder, 'mounted'), holds(before!, older));
    const names = ['n1', 'n2', 'n3'];
    const free = await freePorts(9);
    const ports = names.map((_, i): Ports => ({ client: free[i]!, route: free[i + 3]!, monitor: free[i + 6]! }));
    const routes = ports.map(({ route }) => route);
    const start = (index: number): ChildProcess => {
      const file = join(folder, `${names[index]}.conf`);
      writeFileSync(file, configuration(secret, names[index]!, ports[index]!, routes));
      return spawn(binary!, ['-c', file], { stdio: 'ignore' });
    };
    const servers = names.map((_, index) => start(index));
    const options = (tls: TlsFiles): NatsBusOptions => ({
      ...{ servers: ports.map(({ client }) => `tls://127.0.0.1:${client}`), name: 'test', cluster: 'tls', tls },
      ...{ user: 'conclave', password: 'hidden', deadlineMs: 10_000, replicas: 3, onError: () => undefined },
    });
    const known = followFiles(older.issue('member', 'DNS:member'), older.certificate);
    const next = followFiles(newer.issue('member', 'DNS:member'), newer.certificate);
    const all = () => Promise.all(ports.map(peersOf));
    const everyone = names.map((name) => names.filter((other) => other !== name));
    const buses: NatsBus[] = [];
    try {
      await vi.waitFor(async () => expect(await all()).toEqual(everyone), soon);
      const bus = await NatsBus.connect(options(known));
      buses.push(bus);
      let lost = 0;
      bus.onState(() => (lost += 1));
      const plans = await vi.waitFor(() => bus.bucket('plans'), soon);
      const steps = [holds(before!, older, newer), holds(after!, older, newer), holds(after!, newer)];
      for (const [index, files] of steps.entries()) {
        secret.replace(files);
        for (const server of servers) server.kill('SIGHUP');
        // A server that took the last files accepts the new authority's members.
        await vi.waitFor(async () => buses.push(await NatsBus.connect(options(index === 0 ? known : next))), soon);
        expect(await plans.put('a', bytes(String(index)))).toBeGreaterThan(0);
        expect(await all()).toEqual(everyone);
      }
      expect(lost).toBe(0);
      // Only a member of the new authority is let in again by another server.
      const renewed = await vi.waitFor(() => buses.at(-1)!.bucket('plans'), soon);
      servers[2]!.kill('SIGKILL');
      await once(servers[2]!, 'exit');
      servers[2] = start(2);
      await vi.waitFor(async () => expect(await all()).toEqual(everyone), soon);
      // The client that was connected to it looks for another first.
      // A write that no server leads is lost, and ends with its deadline.
      await vi.waitFor(() => renewed.put('a', bytes('after')), { ...soon, timeout: 90_000 });
      await expect(NatsBus.connect(options(known))).rejects.toThrow(/certificate|refused/i);
    } finally {
      await Promise.all(buses.map((one) => one.close()));
      known.close();
      next.close();
      for (const server of servers) server.kill('SIGKILL');
    }
  });
});

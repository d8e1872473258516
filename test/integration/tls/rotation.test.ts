import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TLSSocket, connect as tlsConnect } from 'node:tls';
import { credentials, status } from '@grpc/grpc-js';
import { Registry } from 'prom-client';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { backgroundClock, type Clock } from '../../../platform/process/clock.ts';
import { certificateMetrics } from '../../../platform/tls/certificate-metrics.ts';
import { channelCredentials } from '../../../platform/tls/grpc-credentials.ts';
import { TlsFiles } from '../../../platform/tls/tls-source.ts';
import { conclave } from '../../../proto/messages.ts';
import { type Harness, startHarness } from '../api/gateway-harness.ts';
import { Authority, type CertificateFiles } from '../certificates.ts';
import { MountedSecret } from './mounted-secret.ts';

type Client = InstanceType<typeof conclave.InferenceService>;

let folder = '';
let older: Authority;
let newer: Authority;
let oldServer: CertificateFiles;
let newServer: CertificateFiles;
let oldMember: CertificateFiles;
let newMember: CertificateFiles;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'conclave-rotation-'));
  [older, newer] = [new Authority(folder, 'older'), new Authority(folder, 'newer')];
  const issue = (id: string, names: string) => [older.issue(id, names), newer.issue(id, names)] as const;
  [oldServer, newServer] = issue('server', 'IP:127.0.0.1');
  [oldMember, newMember] = issue('member', 'DNS:member');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What a Secret holds: a certificate with its key, and the authorities that are trusted. */
const holds = ({ certificate, key }: CertificateFiles, ...authorities: readonly Authority[]) => ({
  'tls.crt': readFileSync(certificate),
  'tls.key': readFileSync(key),
  'ca.crt': Buffer.concat(authorities.map((authority) => readFileSync(authority.certificate))),
});

/** Time that passes ten times as fast: only the patience with files that do not go together. */
const clock: Clock = { ...backgroundClock, after: (ms, callback) => backgroundClock.after(ms / 10, callback) };
const errors: string[] = [];
const opened: { close(): unknown }[] = [];
let mounts = 0;

/** A Secret's volume and the process that follows it. */
function mount(files: ReturnType<typeof holds>) {
  const secret = new MountedSecret(join(folder, `mount-${mounts++}`), files);
  const paths = {
    certificate: secret.path('tls.crt'),
    privateKey: secret.path('tls.key'),
    authority: secret.path('ca.crt'),
  };
  const source = new TlsFiles(paths, { clock, onError: (error) => errors.push(String(error)) });
  opened.push(source);
  return {
    secret,
    source,
    /** Replaces the files, and waits until they are taken. */
    rotate: async (next: ReturnType<typeof holds>) => {
      const before = source.reloads.succeeded;
      secret.replace(next);
      await vi.waitFor(() => expect(source.reloads.succeeded).toBe(before + 1), 10_000);
    },
  };
}

let harness: Harness;
let server: ReturnType<typeof mount>;
beforeEach(async () => {
  server = mount(holds(oldServer, older));
  harness = await startHarness({}, { tls: { source: server.source, clientCertificates: true } });
});
afterEach(async () => {
  for (const one of opened.splice(0)) one.close();
  await harness.close();
  errors.splice(0);
});

function httpsStatus(authorities: Buffer, agent: Agent | false): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const url = `${harness.url.replace('http:', 'https:')}/v1/models`;
    const sent = request(url, { ca: authorities, agent }, (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode));
    });
    sent.on('error', reject);
    sent.end();
  });
}

function getModel(client: Client): Promise<status> {
  return new Promise((resolve) => {
    client.getModel({}, { deadline: Date.now() + 10_000 }, (error) => resolve(error?.code ?? status.OK));
  });
}

/** How a call on a connection of its own ends. */
async function callOnce(channel: ReturnType<typeof channelCredentials>): Promise<status> {
  const client = new conclave.InferenceService(harness.grpcAddress, channel, { 'grpc.use_local_subchannel_pool': 1 });
  try {
    return await getModel(client);
  } finally {
    client.close();
  }
}

const show = ({ certificate, key }: CertificateFiles, ...authorities: readonly Authority[]) =>
  credentials.createSsl(holds(oldMember, ...authorities)['ca.crt'], readFileSync(key), readFileSync(certificate));

/** The fingerprint of the certificate that a port shows to new connections. */
function shownBy(address: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const [host = '', port] = address.split(':');
    const socket: TLSSocket = tlsConnect({ host, port: Number(port), rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate().fingerprint256);
      socket.destroy();
    });
    socket.on('error', reject);
  });
}

describe('a certificate and its authority that are rotated under traffic', () => {
  it('fail no request, on new connections and on those that are kept', async () => {
    const member = mount(holds(oldMember, older));
    const following = channelCredentials(member.source);
    const kept = new conclave.InferenceService(harness.grpcAddress, following);
    opened.push(kept);
    const agent = new Agent({ keepAlive: true });
    const results = { https: 0, keptHttps: 0, grpc: 0, keptGrpc: 0 };
    const stop = new AbortController();
    const repeat = async (name: keyof typeof results, once: () => Promise<unknown>, wanted: unknown) => {
      while (!stop.signal.aborted) {
        expect(await once(), name).toBe(wanted);
        results[name] += 1;
      }
    };
    const both = holds(oldServer, older, newer)['ca.crt'];
    const traffic = Promise.all([
      repeat('https', () => httpsStatus(both, false), 200),
      repeat('keptHttps', () => httpsStatus(both, agent), 200),
      repeat('grpc', () => callOnce(following), status.OK),
      repeat('keptGrpc', () => getModel(kept), status.OK),
    ]);
    /** Some requests of each kind begin and end in this state. */
    const some = async () => {
      const before = { ...results };
      await vi.waitFor(
        () => {
          for (const [name, count] of Object.entries(before)) {
            expect(results[name as keyof typeof results]).toBeGreaterThan(count + 2);
          }
        },
        { timeout: 20_000, interval: 5 },
      );
    };
    try {
      await some();
      for (const one of [server, member]) {
        await one.rotate(holds(one === server ? oldServer : oldMember, older, newer));
        await some();
      }
      await server.rotate(holds(newServer, older, newer));
      await some();
      await member.rotate(holds(newMember, older, newer));
      await some();
      for (const one of [server, member]) {
        await one.rotate(holds(one === server ? newServer : newMember, newer));
        await some();
      }
    } finally {
      stop.abort();
      await traffic;
      agent.destroy();
    }
    const { fingerprint } = server.source.current;
    expect(await shownBy(harness.grpcAddress)).toBe(fingerprint);
    expect(await shownBy(harness.url.replace('http://', ''))).toBe(fingerprint);
    expect(errors).toEqual([]);
  });

  it('let clients of the old authority in as long as it is trusted, and not longer', async () => {
    await server.rotate(holds(newServer, older, newer));
    expect(await callOnce(show(oldMember, older, newer))).toBe(status.OK);
    expect(await callOnce(show(newMember, older, newer))).toBe(status.OK);
    await server.rotate(holds(newServer, newer));
    expect(await callOnce(show(oldMember, older, newer))).toBe(status.UNAVAILABLE);
    expect(await callOnce(show(newMember, newer))).toBe(status.OK);
  });
});

describe('a server that asks for certificates', () => {
  it('refuses one that has expired, one of another authority, and none', async () => {
    const expired = older.issue('expired', 'DNS:member', -1);
    expect(await callOnce(show(oldMember, older))).toBe(status.OK);
    expect(await callOnce(show(expired, older))).toBe(status.UNAVAILABLE);
    expect(await callOnce(show(newMember, older))).toBe(status.UNAVAILABLE);
    expect(await callOnce(credentials.createSsl(readFileSync(older.certificate)))).toBe(status.UNAVAILABLE);
  });
});

describe('files that hold no better certificate', () => {
  const mixed = () => ({ ...holds(newServer, older), 'tls.key': readFileSync(oldServer.key) });
  it.each([
    ['a key of another certificate', mixed, /--tls-key .*expected the key of --tls-cert/],
    ['half of a certificate', () => halfOf('tls.crt'), /--tls-cert .*half of one/],
    ['half of an authority', () => halfOf('ca.crt'), /--tls-ca .*half of one/],
    ['nothing', () => ({ ...holds(oldServer, older), 'ca.crt': Buffer.alloc(0) }), /--tls-ca .*got none/],
    [
      'one that has expired already',
      () => holds(older.issue('late', 'IP:127.0.0.1', -1), older),
      /--tls-cert .*valid now, got one that expired/,
    ],
  ])('change nothing, and are reported once: %s', async (_, files, says) => {
    const { fingerprint } = server.source.current;
    server.secret.replace(files());
    await vi.waitFor(() => expect(errors).toHaveLength(1), 10_000);
    expect(errors[0]).toMatch(says);
    expect(await shownBy(harness.grpcAddress)).toBe(fingerprint);
    expect(await callOnce(show(oldMember, older))).toBe(status.OK);
    const registry = new Registry();
    certificateMetrics(registry, server.source);
    expect(await registry.metrics()).toContain('conclave_certificate_reloads_total{result="failed"} 1');
    await server.rotate(holds(newServer, newer));
    expect(await shownBy(harness.grpcAddress)).toBe(server.source.current.fingerprint);
  });

  function halfOf(name: 'tls.crt' | 'ca.crt') {
    const whole = holds(newServer, newer);
    return { ...whole, [name]: whole[name].subarray(0, whole[name].length / 2) };
  }
});

it('metrics say when a certificate ends and when the last authority does', async () => {
  const registry = new Registry();
  certificateMetrics(registry, server.source);
  const text = await registry.metrics();
  const ends = [...text.matchAll(/^conclave_certificate_expiry_timestamp_seconds\{certificate="(\w+)"\} (\d+)$/gm)];
  expect(ends.map(([, which]) => which)).toEqual(['own', 'authority']);
  for (const [, , end] of ends) {
    // The test's certificates last two days.
    const days = (Number(end) - Date.now() / 1_000) / 86_400;
    expect(days).toBeGreaterThan(1.9);
    expect(days).toBeLessThan(2.1);
  }
});

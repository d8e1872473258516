import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { BusError } from '../../../platform/bus/bus.ts';
import { NatsBus, type NatsBusOptions } from '../../../platform/bus/nats-bus.ts';
import { TlsFiles } from '../../../platform/tls/tls-source.ts';
import { bytes } from '../bus/contract.ts';
import { Authority, type CertificateFiles, followFiles } from '../certificates.ts';
import { findNatsServer, NatsServer, natsServerMissing } from '../nats-server.ts';
import { MountedSecret } from './mounted-secret.ts';

const available = findNatsServer() !== null;

let folder = '';
let older: Authority;
let newer: Authority;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'conclave-nats-tls-'));
  [older, newer] = [new Authority(folder, 'older'), new Authority(folder, 'newer')];
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const holds = ({ certificate, key }: CertificateFiles, authority: Authority) => ({
  'tls.crt': readFileSync(certificate),
  'tls.key': readFileSync(key),
  'ca.crt': readFileSync(authority.certificate),
});

describe.skipIf(!available)(`mutual TLS with NATS${available ? '' : ` (${natsServerMissing})`}`, () => {
  const options = (server: NatsServer, tls?: TlsFiles): NatsBusOptions => ({
    ...{ servers: [server.url], name: 'test', cluster: 'tls', deadlineMs: 2_000, onError: () => undefined },
    ...(tls !== undefined && { tls }),
  });

  it('takes new files when it connects again: certificate, key and authority', async () => {
    const files = (authority: Authority) => ({
      server: holds(authority.issue('nats', 'IP:127.0.0.1'), authority),
      member: holds(authority.issue('member', 'DNS:member'), authority),
    });
    const [before, after] = [files(older), files(newer)];
    const served = new MountedSecret(join(folder, 'server'), before.server);
    const shown = new MountedSecret(join(folder, 'member'), before.member);
    const flags = ['--tlscert', served.path('tls.crt'), '--tlskey', served.path('tls.key')];
    const server = await NatsServer.start(['--tlsverify', ...flags, '--tlscacert', served.path('ca.crt')]);
    const [certificate, privateKey, authority] = ['tls.crt', 'tls.key', 'ca.crt'].map((name) => shown.path(name));
    const source = new TlsFiles(
      { certificate: certificate!, privateKey: privateKey!, authority: authority! },
      { onError: () => undefined },
    );
    const bus = await NatsBus.connect(options(server, source));
    try {
      expect(await (await bus.bucket('plans')).put('a', bytes('1'))).toBe(1);
      shown.replace(after.member);
      served.replace(after.server);
      await vi.waitFor(() => expect(source.reloads.succeeded).toBe(1), 10_000);
      await server.signal('SIGTERM');
      await vi.waitFor(() => expect(bus.state).toBe('reconnecting'), 10_000);
      await server.restart();
      await vi.waitFor(() => expect(bus.state).toBe('connected'), 20_000);
      expect(await (await bus.bucket('plans')).put('a', bytes('2'))).toBe(2);
    } finally {
      await bus.close();
      source.close();
      await server.stop();
    }
  });

  it('is refused to a client without a certificate, and to one of another authority', async () => {
    const { certificate, key } = older.issue('nats', 'IP:127.0.0.1');
    const flags = ['--tlscert', certificate, '--tlskey', key, '--tlscacert', older.certificate];
    const server = await NatsServer.start(['--tlsverify', ...flags]);
    const stranger = followFiles(newer.issue('member', 'DNS:member'), older.certificate);
    try {
      await expect(NatsBus.connect(options(server))).rejects.toBeInstanceOf(BusError);
      await expect(NatsBus.connect(options(server, stranger))).rejects.toBeInstanceOf(BusError);
    } finally {
      stranger.close();
      await server.stop();
    }
  });
});

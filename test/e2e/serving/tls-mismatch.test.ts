import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createGrpcServer, type GrpcServer } from '../../../platform/rpc/server.ts';
import type { TlsFiles } from '../../../platform/tls/tls-source.ts';
import { Authority, type CertificateFiles, followFiles } from '../../integration/certificates.ts';
import { findNatsServer, NatsServer, natsServerMissing } from '../../integration/nats-server.ts';
import { goldenFolder } from '../golden.ts';
import { run } from '../server.ts';

let folder = '';
let authority: Authority;
let stranger: Authority;
let server: CertificateFiles;
let named: CertificateFiles;
let expired: CertificateFiles;
let client: CertificateFiles;
let foreign: CertificateFiles;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'conclave-mismatch-'));
  [authority, stranger] = [new Authority(folder, 'authority'), new Authority(folder, 'stranger')];
  server = authority.issue('server', 'IP:127.0.0.1');
  named = authority.issue('named', 'IP:10.0.0.7,DNS:w7');
  expired = authority.issue('expired', 'IP:127.0.0.1', -1);
  client = authority.issue('client', 'DNS:client');
  foreign = stranger.issue('foreign', 'DNS:foreign');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const ca = (of: Authority): readonly string[] => ['--tls-ca', of.certificate];
const own = ({ certificate, key }: CertificateFiles): readonly string[] => [
  '--tls-cert',
  certificate,
  '--tls-key',
  key,
];

interface Case {
  readonly what: string;
  /** What the server has; null: no TLS. */
  readonly serves: () => CertificateFiles | null;
  /** Whether clients must show a certificate. */
  readonly mutual?: true;
  readonly flags: () => readonly string[];
  readonly says: RegExp;
}

const untrusted = /certificate is signed by no authority that is trusted here\n.*--tls-ca/;

const cases: readonly Case[] = [
  {
    what: 'another authority',
    serves: () => server,
    flags: () => [...ca(stranger), ...own(foreign)],
    says: untrusted,
  },
  {
    what: 'a certificate for another name',
    serves: () => named,
    flags: () => [...ca(authority), ...own(client)],
    says: /certificate is for another name \(.*127\.0\.0\.1.*10\.0\.0\.7.*\)\n.*subject alternative names/,
  },
  {
    what: 'an expired certificate',
    serves: () => expired,
    flags: () => [...ca(authority), ...own(client)],
    says: /certificate has expired\n.*[Rr]enew/,
  },
  {
    what: 'no TLS on the other side',
    serves: () => null,
    flags: () => [...ca(authority), ...own(client)],
    says: /does not speak TLS\n.*--tls/,
  },
  {
    what: 'a certificate of another authority',
    serves: () => server,
    mutual: true,
    flags: () => [...ca(authority), ...own(foreign)],
    says: /does not accept the certificate of --tls-cert\n.*openssl x509/,
  },
];

/** One line for what is wrong, one for what to do; no dump of anything. */
function expectPlainWords(stderr: string, says: RegExp): void {
  expect(stderr).toMatch(says);
  expect(stderr.split('\n').filter((line) => !line.startsWith('{')).length).toBeLessThanOrEqual(3);
  expect(stderr).not.toMatch(/BEGIN CERTIFICATE|modulus|pubkey|\n\s+at |ERR_/);
}

describe('status says', () => {
  let grpc: GrpcServer | null = null;
  let source: TlsFiles | null = null;
  afterEach(async () => {
    await grpc?.close(0);
    source?.close();
  });

  const listen = async ({ serves, mutual }: Pick<Case, 'serves' | 'mutual'>): Promise<string> => {
    const files = serves();
    source?.close();
    source = files === null ? null : followFiles(files, authority.certificate);
    const tls = source === null ? null : { source, clientCertificates: mutual === true };
    grpc = createGrpcServer({ host: '127.0.0.1', port: 0, tls });
    return `127.0.0.1:${await grpc.start()}`;
  };

  it.each<Case>([
    ...cases,
    {
      what: 'TLS where none is used',
      serves: () => server,
      flags: () => [],
      says: /serves TLS.*not encrypted\n.*--tls-ca/,
    },
    {
      what: 'mutual TLS where none is used',
      serves: () => server,
      mutual: true,
      flags: () => [],
      says: /serves TLS.*not encrypted\n.*--tls-ca.*--tls-cert and --tls-key/,
    },
    { what: 'an authority that is not given', serves: () => server, flags: () => ['--tls'], says: untrusted },
    {
      what: 'a certificate that is wanted',
      serves: () => server,
      mutual: true,
      flags: () => ca(authority),
      says: /asks for a certificate \(mutual TLS\)\n.*--tls-cert and --tls-key/,
    },
  ])('$what', async (one) => {
    const address = await listen(one);
    for (const command of [['status'], ['events', '--follow']]) {
      const { code, stderr } = await run([...command, '--server', address, ...one.flags()]);
      expect(code).toBe(1);
      expect(stderr).toContain(address);
      expectPlainWords(stderr, one.says);
    }
  });

  it('that nothing listens there', async () => {
    const address = await listen({ serves: () => null });
    await grpc?.close(0);
    for (const flags of [[], ca(authority)]) {
      const { code, stderr } = await run(['status', '--server', address, ...flags]);
      expect(code).toBe(1);
      expectPlainWords(stderr, /no controller answers at 127\.0\.0\.1:\d+: connect ECONNREFUSED\n.*--server/);
    }
  });

  it('nothing of TLS where TLS is right', async () => {
    const address = await listen({ serves: () => server, mutual: true });
    const { stderr } = await run(['status', '--server', address, ...ca(authority), ...own(client)]);
    expect(stderr).toContain('operates no cluster');
  });
});

const natsMissing = findNatsServer() === null;

describe.skipIf(natsMissing)(`a worker says of NATS${natsMissing ? ` (${natsServerMissing})` : ''}`, () => {
  const start = ({ serves, mutual }: Pick<Case, 'serves' | 'mutual'>): Promise<NatsServer> => {
    const files = serves();
    if (files === null) return NatsServer.start();
    const tls = ['--tlscert', files.certificate, '--tlskey', files.key];
    return NatsServer.start(
      mutual === true ? [...tls, '--tlsverify', '--tlscacert', authority.certificate] : ['--tls', ...tls],
    );
  };
  const join = (nats: NatsServer, flags: readonly string[]) =>
    run(['worker', goldenFolder('mixtral'), '--nats', nats.url, '--port', '0', '--memory', '1GiB', ...flags]);

  it.each<Case>([
    ...cases,
    { what: 'an authority that is not given', serves: () => server, flags: () => [], says: untrusted },
    {
      what: 'a certificate that is wanted',
      serves: () => server,
      mutual: true,
      flags: () => [],
      says: untrusted,
    },
  ])('$what, and ends', async (one) => {
    const nats = await start(one);
    try {
      const { code, stderr } = await join(nats, one.flags());
      expect(code).toBe(1);
      expect(stderr).toContain(nats.url);
      expectPlainWords(stderr, one.says);
    } finally {
      await nats.stop();
    }
  });

  it('that a tls:// URL leads to a server without TLS', async () => {
    const nats = await NatsServer.start();
    try {
      const url = nats.url.replace('nats:', 'tls:');
      const { code, stderr } = await run(['worker', goldenFolder('mixtral'), '--nats', url, '--port', '0']);
      expect(code).toBe(1);
      expectPlainWords(stderr, /does not speak TLS/);
    } finally {
      await nats.stop();
    }
  });

  it('that no server answers in time', async () => {
    const nats = await NatsServer.start();
    await nats.stop();
    const { code, stderr } = await join(nats, ['--nats-timeout', '1s']);
    expect(code).toBe(1);
    expectPlainWords(stderr, /did not answer within 1\.0 s: connect ECONNREFUSED.*\n.*nats-server -js/);
  });
});

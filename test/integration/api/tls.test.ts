import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { credentials, status } from '@grpc/grpc-js';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { TlsFiles } from '../../../platform/tls/tls-source.ts';
import { conclave } from '../../../proto/messages.ts';
import { type CertificateFiles, followFiles } from '../certificates.ts';
import { type Harness, startHarness } from './gateway-harness.ts';

let folder: string;
let certificate: Buffer;
let privateKey: Buffer;
let files: CertificateFiles;
let source: TlsFiles;
let harness: Harness;

/** One self-signed certificate serves as server, client and authority. */
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'conclave-tls-'));
  const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  const made = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1', '-keyout', key, '-out', cert];
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost'];
  execFileSync('openssl', [...made, ...subject], { stdio: 'ignore' });
  files = { certificate: cert, key };
  certificate = readFileSync(cert);
  privateKey = readFileSync(key);
});
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(async () => {
  await harness.close();
  source.close();
});

const start = async (clientCertificates: boolean): Promise<void> => {
  source = followFiles(files, files.certificate);
  harness = await startHarness({}, { tls: { source, clientCertificates } });
};

function httpsStatus(identity: object): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const url = `${harness.url.replace('http:', 'https:')}/v1/models`;
    const sent = request(url, { ca: certificate, agent: false, ...identity }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    sent.on('error', reject);
    sent.end();
  });
}

function grpcCode(client: InstanceType<typeof conclave.InferenceService>): Promise<status> {
  return new Promise((resolve) => {
    client.getModel({}, { deadline: Date.now() + 5_000 }, (error) => {
      client.close();
      resolve(error?.code ?? status.OK);
    });
  });
}

describe('TLS', () => {
  it('covers HTTP and gRPC', async () => {
    await start(false);
    expect(await httpsStatus({})).toBe(200);
    await expect(fetch(`${harness.url}/health`)).rejects.toThrow('fetch failed');
    const secure = new conclave.InferenceService(harness.grpcAddress, credentials.createSsl(certificate));
    expect(await grpcCode(secure)).toBe(status.OK);
    const plain = new conclave.InferenceService(harness.grpcAddress, credentials.createInsecure());
    expect(await grpcCode(plain)).toBe(status.UNAVAILABLE);
  });

  it('lets only clients with a certificate in over gRPC where it asks for one; HTTP has none to show', async () => {
    await start(true);
    expect(await httpsStatus({ cert: certificate, key: privateKey })).toBe(200);
    expect(await httpsStatus({})).toBe(200);
    const known = credentials.createSsl(certificate, privateKey, certificate);
    expect(await grpcCode(new conclave.InferenceService(harness.grpcAddress, known))).toBe(status.OK);
    const unknown = credentials.createSsl(certificate);
    expect(await grpcCode(new conclave.InferenceService(harness.grpcAddress, unknown))).toBe(status.UNAVAILABLE);
  });
});

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ExternalMetricsServer, startExternalMetrics } from '../../../controller/kubernetes/external-metrics.ts';
import { parseTlsMaterial, type TlsMaterial } from '../../../platform/tls/tls-material.ts';
import type { TlsSource } from '../../../platform/tls/tls-source.ts';
import { Authority } from '../../integration/certificates.ts';

const folder = mkdtempSync(join(tmpdir(), 'conclave-external-metrics-'));
const base = '/apis/external.metrics.k8s.io/v1beta1';
const metrics = [
  { name: 'conclave_num_requests_waiting', values: [{ labels: {}, value: 12 }] },
  {
    name: 'conclave_expert_busy_ratio',
    values: [
      { labels: {}, value: 0.5 },
      { labels: { pool: 'hot' }, value: 0.82345 },
    ],
  },
];
let authority: Authority;
let server: ExternalMetricsServer;
let certificates: Certificates;

function issued(id: string): TlsMaterial {
  const { certificate, key } = authority.issue(id, 'IP:127.0.0.1');
  const paths = { certificate, privateKey: key, authority: null };
  return parseTlsMaterial(paths, [readFileSync(certificate), readFileSync(key)]);
}

/** A source whose certificate the test replaces. */
class Certificates implements TlsSource {
  current: TlsMaterial;
  readonly previous = null;
  #listener: () => void = () => undefined;

  constructor(first: TlsMaterial) {
    this.current = first;
  }

  follow(listener: () => void): () => void {
    this.#listener = listener;
    return () => undefined;
  }

  replace(next: TlsMaterial): void {
    this.current = next;
    this.#listener();
  }
}

beforeAll(async () => {
  authority = new Authority(folder, 'ca');
  certificates = new Certificates(issued('first'));
  server = await startExternalMetrics({
    ...{ host: '127.0.0.1', port: 0, tls: certificates, namespace: 'ns', read: () => metrics, wallClock: () => 0 },
  });
});
afterAll(async () => {
  await server.close();
  rmSync(folder, { recursive: true });
});

interface Answer {
  readonly status: number;
  readonly body: { readonly resources?: unknown; readonly items?: unknown };
  /** Name in the server's certificate. */
  readonly subject: string;
}

/** Asks as the API server does. */
function ask(path: string, method = 'GET'): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const options = { ca: readFileSync(authority.certificate), agent: false, method };
    const sent = request(`https://127.0.0.1:${server.port}${path}`, options, (response) => {
      const { socket } = response as unknown as { socket: TLSSocket };
      const subject = String(socket.getPeerCertificate().subject.CN);
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => (text += part));
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) as Answer['body'], subject }),
      );
    });
    sent.on('error', reject).end();
  });
}

describe('the external metrics API', () => {
  it('is found by discovery', async () => {
    const group = await ask('/apis/external.metrics.k8s.io');
    expect(group.body).toMatchObject({ kind: 'APIGroup', preferredVersion: { version: 'v1beta1' } });
    const { body } = await ask(base);
    expect(body).toMatchObject({ kind: 'APIResourceList', groupVersion: 'external.metrics.k8s.io/v1beta1' });
    expect(body.resources).toEqual(
      metrics.map(({ name }) => ({
        ...{ name, singularName: '', namespaced: true, kind: 'ExternalMetricValueList', verbs: ['get'] },
      })),
    );
  });

  it('says the value of the whole without a selector, and that of a pool with one', async () => {
    const timestamp = '1970-01-01T00:00:00Z';
    const waiting = await ask(`${base}/namespaces/ns/conclave_num_requests_waiting`);
    expect(waiting.body).toEqual({
      ...{ kind: 'ExternalMetricValueList', apiVersion: 'external.metrics.k8s.io/v1beta1', metadata: {} },
      items: [{ metricName: 'conclave_num_requests_waiting', metricLabels: {}, timestamp, value: '12' }],
    });
    const all = await ask(`${base}/namespaces/ns/conclave_expert_busy_ratio`);
    expect(all.body.items).toMatchObject([{ metricLabels: {}, value: '500m' }]);
    const hot = await ask(`${base}/namespaces/ns/conclave_expert_busy_ratio?labelSelector=pool%3Dhot`);
    expect(hot.body.items).toMatchObject([{ metricLabels: { pool: 'hot' }, value: '823m' }]);
  });

  it('has nothing for other pools and other namespaces', async () => {
    for (const path of [
      '/namespaces/ns/conclave_expert_busy_ratio?labelSelector=pool%3Dcold',
      '/namespaces/ns/conclave_num_requests_waiting?labelSelector=pool%3Dhot',
      '/namespaces/other/conclave_num_requests_waiting',
    ]) {
      const { status, body } = await ask(base + path);
      expect([status, body.items], path).toEqual([200, []]);
    }
  });

  it.each([
    ['GET', `${base}/namespaces/ns/conclave_unknown`, 404, 'NotFound'],
    ['GET', '/', 404, 'NotFound'],
    ['GET', `${base}/namespaces/ns/conclave_expert_busy_ratio?labelSelector=pool%20in%20(a)`, 400, 'BadRequest'],
    ['POST', base, 405, 'MethodNotAllowed'],
  ])('%s %s is refused with %i', async (method, path, status, reason) => {
    const answer = await ask(path, method);
    expect(answer.status).toBe(status);
    expect(answer.body).toMatchObject({ kind: 'Status', status: 'Failure', reason, code: status });
  });

  it('goes on with another certificate without a restart', async () => {
    expect((await ask(base)).subject).toBe('first');
    certificates.replace(issued('second'));
    expect((await ask(base)).subject).toBe('second');
  });
});

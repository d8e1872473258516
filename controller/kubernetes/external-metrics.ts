/**
 * The external metrics API of Kubernetes (external.metrics.k8s.io/v1beta1), which the API server asks for a
 * HorizontalPodAutoscaler's metrics of type External, over HTTPS and behind an APIService. It says what /metrics says.
 */
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TlsSource } from '../../platform/tls/tls-source.ts';

const GROUP = 'external.metrics.k8s.io';
const VERSION = `${GROUP}/v1beta1`;
const BASE = `/apis/${VERSION}`;

export interface ExternalMetric {
  readonly name: string;
  /** With the labels that tell them apart. */
  readonly values: readonly { readonly labels: Readonly<Record<string, string>>; readonly value: number }[];
}

export interface ExternalMetricsOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** Connections are made with what it has then. */
  readonly tls: TlsSource;
  /** The only namespace that has metrics; null: all say the same. */
  readonly namespace: string | null;
  readonly read: () => readonly ExternalMetric[];
  /** Milliseconds since the epoch. */
  readonly wallClock: () => number;
}

export interface ExternalMetricsServer {
  readonly port: number;
  close(): Promise<void>;
}

interface Answer {
  readonly status: number;
  readonly body: object;
}

/** Listens. Rejects when the port is taken. */
export async function startExternalMetrics(options: ExternalMetricsOptions): Promise<ExternalMetricsServer> {
  const limits = { maxHeaderSize: 16_384, requestTimeout: 10_000 };
  const server = createServer({ ...secureContext(options.tls), ...limits }, (request, response) => {
    const { status, body } =
      request.method === 'GET' ? answer(request.url ?? '/', options) : refusal(405, 'MethodNotAllowed', 'expected GET');
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  });
  await listen(server, options);
  const stop = options.tls.follow(() => server.setSecureContext(secureContext(options.tls)));
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        stop();
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function answer(target: string, { namespace, read, wallClock }: ExternalMetricsOptions): Answer {
  const base = 'https://localhost';
  if (!URL.canParse(target, base)) return refusal(400, 'BadRequest', 'the URL cannot be read');
  const url = new URL(target, base);
  const path = url.pathname.replace(/\/$/, '');
  if (path === `/apis/${GROUP}`) return { status: 200, body: group() };
  if (path === BASE) return { status: 200, body: resources(read()) };
  const [, asked, name] = new RegExp(`^${BASE}/namespaces/([^/]+)/([^/]+)$`).exec(path) ?? [];
  const metric = read().find((each) => each.name === name);
  if (asked === undefined || metric === undefined) {
    return refusal(404, 'NotFound', `${path}: expected one of the metrics that ${BASE} lists`);
  }
  const selected = selector(url.searchParams.get('labelSelector') ?? '');
  if (selected === null) return refusal(400, 'BadRequest', 'labelSelector: expected NAME=VALUE,...');
  const values = namespace === null || namespace === asked ? metric.values : [];
  const timestamp = new Date(wallClock()).toISOString().replace(/\.\d+Z$/, 'Z');
  const items = values
    .filter(({ labels }) => matches(labels, selected))
    .map(({ labels, value }) => ({
      ...{ metricName: metric.name, metricLabels: labels, timestamp, value: quantity(value) },
    }));
  return { status: 200, body: { kind: 'ExternalMetricValueList', apiVersion: VERSION, metadata: {}, items } };
}

/**
 * Without a selector the value of the whole is meant, which has no labels: HorizontalPodAutoscalers add all values up that they
 * get.
 */
function matches(labels: Readonly<Record<string, string>>, selected: ReadonlyMap<string, string>): boolean {
  const names = Object.keys(labels);
  return names.length === selected.size && names.every((name) => selected.get(name) === labels[name]);
}

/** "a=b,c==d"; null for what is not of that form. */
function selector(text: string): ReadonlyMap<string, string> | null {
  const parts = text.split(',').filter((part) => part !== '');
  const pairs = parts.map((part) => /^\s*([\w./-]+)\s*==?\s*([\w.-]*)\s*$/.exec(part));
  if (pairs.includes(null)) return null;
  return new Map(pairs.map((pair) => [pair?.[1] ?? '', pair?.[2] ?? '']));
}

/** In thousandths, as Kubernetes writes fractions. */
function quantity(value: number): string {
  return Number.isInteger(value) ? String(value) : `${Math.round(1_000 * value)}m`;
}

function group(): object {
  const version = { groupVersion: VERSION, version: 'v1beta1' };
  return { kind: 'APIGroup', apiVersion: 'v1', name: GROUP, versions: [version], preferredVersion: version };
}

function resources(metrics: readonly ExternalMetric[]): object {
  const of = { singularName: '', namespaced: true, kind: 'ExternalMetricValueList', verbs: ['get'] };
  const names = metrics.map(({ name }) => ({ name, ...of }));
  return { kind: 'APIResourceList', apiVersion: 'v1', groupVersion: VERSION, resources: names };
}

function refusal(status: number, reason: string, message: string): Answer {
  return {
    status,
    body: { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, reason, code: status },
  };
}

function secureContext({ current: { certificate, privateKey } }: TlsSource) {
  return { cert: certificate, key: privateKey };
}

function listen(server: Server, { host, port }: ExternalMetricsOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

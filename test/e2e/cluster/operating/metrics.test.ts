import { spawnSync } from 'node:child_process';
import { dirname } from 'node:path';
import { describe, expect, it } from 'vitest';
import { findProgram, needs } from '../../../integration/find-program.ts';
import { findNatsServer } from '../../../integration/nats-server.ts';
import { goldenFolder } from '../../golden.ts';
import { Server, until } from '../../server.ts';
import { clusterTests } from '../harness/cluster.ts';

const model = goldenFolder('mixtral');
/** The program finds nats-server on PATH alone. */
const environment = { PATH: `${process.env['PATH']}:${dirname(findNatsServer() ?? '/nowhere/nats-server')}` };
const promtool = needs('promtool', '"apt-get install prometheus"');

interface WithWorkers {
  readonly workers: readonly { readonly id: string; readonly metrics: string }[];
}

async function scrape(url: string): Promise<string> {
  const response = await fetch(`${url}/metrics`);
  expect(response.headers.get('content-type')).toContain('text/plain; version=0.0.4');
  return response.text();
}

/** What promtool complains of; empty: nothing. */
function complaints(metrics: string): string {
  const { status, stderr, stdout } = spawnSync(findProgram('promtool') ?? 'promtool', ['check', 'metrics'], {
    input: metrics,
    encoding: 'utf8',
  });
  return status === 0 ? '' : `${status}: ${stderr}${stdout}`;
}

function expectSeries(metrics: string, series: readonly string[]): void {
  const lines = metrics.split('\n');
  for (const one of series) expect(lines.filter((line) => line.startsWith(`${one} `))).toHaveLength(1);
}

const codes = (name: string, ...values: readonly string[]): readonly string[] =>
  values.map((code) => `conclave_${name}{code="${code}"}`);

/** There before the first event. */
const gatewaySeries = [
  'conclave_request_success_total{finished_reason="stop"}',
  'conclave_request_success_total{finished_reason="length"}',
  ...codes('request_failure_total', 'invalid_request', 'overloaded', 'unavailable', 'deadline_exceeded', 'internal'),
  'conclave_http_requests_total{method="POST",route="/v1/chat/completions",status="200"}',
  'conclave_http_request_duration_seconds_count{route="/v1/chat/completions"}',
  ...['num_requests_running', 'num_requests_waiting', 'kv_cache_usage_ratio'].map((name) => `conclave_${name}`),
];
const clusterSeries = codes('cluster_failures_total', 'PEER_LOST', 'DEADLINE', 'COLD_LOAD', 'WORKER_LOST');
const workerSeries = [
  ...codes('dispatch_retries_total', 'PEER_LOST', 'DEADLINE', 'BUSY', 'REFUSED', 'POISONED'),
  ...codes('shard_refusals_total', 'BUSY', 'SLOT_NOT_LOADED', 'OTHER'),
  ...['num_requests_running', 'num_requests_waiting', 'kv_cache_usage_ratio'].map((name) => `conclave_${name}`),
];

describe(`metrics${promtool.suffix}`, () => {
  it('of one process are there from the start, and in the form that promtool checks', async () => {
    await using server = await Server.start([model]);
    const before = await scrape(server.url);
    expectSeries(before, gatewaySeries);
    await server.post('/v1/completions', { model: server.model, prompt: 'a', max_tokens: 2 });
    await server.fetch('/v1/completions', { model: 'other', prompt: 'a' });
    const after = await scrape(server.url);
    expect(after).toContain('conclave_request_failure_total{code="model_not_found"} 1');
    if (!promtool.skip) for (const metrics of [before, after]) expect(complaints(metrics)).toBe('');
  });

  it.skipIf(clusterTests.skip)(`of serve --workers are those of each worker too${clusterTests.suffix}`, async () => {
    await using server = await Server.start([model, '--workers', '2', '--worker-memory', '1GiB'], environment);
    const { workers } = server.ready as unknown as WithWorkers;
    const controller = await scrape(server.url);
    expectSeries(controller, [...gatewaySeries, ...clusterSeries]);
    if (!promtool.skip) expect(complaints(controller)).toBe('');
    for (const { metrics: url } of workers) {
      const worker = await scrape(url);
      expectSeries(worker, workerSeries);
      if (!promtool.skip) expect(complaints(worker)).toBe('');
    }
    // The controller shows what the leads compute.
    const request = { model: server.model, prompt: 'a', max_tokens: 100_000, ignore_eos: true, stream: true };
    const running = await server.fetch('/v1/completions', { ...request, max_tokens: 400 });
    const many = Array.from({ length: 4 }, () => server.fetch('/v1/completions', { ...request, max_tokens: 400 }));
    await running.text();
    for (const answer of await Promise.all(many)) await answer.text();
    await until(
      () => Promise.all(workers.map(({ metrics }) => scrape(metrics))).then((all) => all.join('\n')),
      (text) => /conclave_engine_step_seconds_count [1-9]/.test(text),
    );
  });

  it.skipIf(clusterTests.skip)(`of workers can be given ports${clusterTests.suffix}`, async () => {
    const first = 21_000 + (process.pid % 20_000);
    const flags = ['--workers', '2', '--worker-memory', '1GiB', '--worker-metrics-port', String(first)];
    await using server = await Server.start([model, ...flags], environment);
    const { workers } = server.ready as unknown as WithWorkers;
    expect(workers.map(({ metrics }) => metrics)).toEqual([first, first + 1].map((port) => `http://127.0.0.1:${port}`));
    expectSeries(await scrape(workers[1]?.metrics ?? ''), workerSeries);
  });
});

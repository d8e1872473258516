import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { afterEach, describe, expect, it } from 'vitest';
import { loadTextModel } from '../../../controller/text/text-model.ts';
import { createApiKeys } from '../../../platform/rpc/api-keys.ts';
import { clerkDirectory, type Harness, post, startHarness } from './gateway-harness.ts';

let harness: Harness;
afterEach(() => harness.close());

const get = (path: string, headers: Record<string, string> = {}) => fetch(harness.url + path, { headers });
const body = { prompt: 'Say', max_tokens: 4 };

/** Holds a pipeline back until it is released. */
function gate() {
  const controller = new AbortController();
  const opened = once(controller.signal, 'abort');
  return { release: () => controller.abort(), before: async () => void (await opened) };
}

describe('health and readiness', () => {
  it('/ready says why requests cannot be answered, which then get 503', async () => {
    let obstacles: string[] = ['the model is loading'];
    harness = await startHarness({}, { obstacles: () => obstacles, notices: () => ['the bus is away'] });
    expect((await get('/health')).status).toBe(200);
    const ready = await get('/ready');
    expect(ready.status).toBe(503);
    expect(await ready.json()).toEqual({
      ready: false,
      reasons: ['the model is loading'],
      notices: ['the bus is away'],
    });
    const refused = await post(harness, '/v1/completions', body);
    expect(refused.status).toBe(503);
    expect(refused.headers.get('retry-after')).toBe('1');
    expect(refused.body.error.message).toBe('the model is loading');
    obstacles = [];
    expect(await (await get('/ready')).json()).toEqual({ ready: true, reasons: [], notices: ['the bus is away'] });
    expect((await post(harness, '/v1/completions', body)).status).toBe(200);
  });
});

it('/ready says that a chat template cannot be read; completions are served all the same', async () => {
  const text = await loadTextModel(clerkDirectory);
  const chatObstacle = 'the chat template of the model cannot be read: line 1';
  harness = await startHarness({}, { text: { ...text, chatObstacle } });
  const notices = [`chat is not served: ${chatObstacle}`];
  expect(await (await get('/ready')).json()).toEqual({ ready: true, reasons: [], notices });
  expect((await post(harness, '/v1/completions', body)).status).toBe(200);
});

it('requests are let in, to wait, while the only lead was there until a moment ago', async () => {
  harness = await startHarness({}, { obstacles: () => ['s1, which leads pipeline p0, is lost'], patient: () => true });
  expect((await get('/ready')).status).toBe(503);
  expect((await post(harness, '/v1/completions', body)).status).toBe(200);
});

describe('API keys', () => {
  const digest = createHash('sha256').update('second').digest('hex');

  it('are asked for everywhere but where probes and scrapers look', async () => {
    harness = await startHarness({}, { apiKeys: createApiKeys(['first', `sha256:${digest}`]) });
    for (const path of ['/health', '/ready', '/metrics']) expect((await get(path)).status).toBe(200);
    for (const path of ['/v1/models', '/v1/models/clerk', '/nothing']) {
      const response = await get(path);
      expect(response.status).toBe(401);
      expect(response.headers.get('www-authenticate')).toBe('Bearer');
      expect(await response.json()).toMatchObject({ error: { code: 'invalid_api_key', type: 'authentication_error' } });
    }
    for (const path of ['/v1/completions', '/v1/chat/completions', '/tokenize', '/detokenize']) {
      expect((await post(harness, path, {}, { authorization: 'Bearer third' })).status).toBe(401);
    }
    for (const key of ['first', 'second']) {
      expect((await get('/v1/models', { authorization: `Bearer ${key}` })).status).toBe(200);
    }
    for (const header of [digest, `Bearer sha256:${digest}`, 'Basic first', 'Bearer', 'Bearer first second']) {
      expect((await get('/v1/models', { authorization: header })).status).toBe(401);
    }
  });
});

describe('request ids', () => {
  it('are the client’s own where they are harmless', async () => {
    harness = await startHarness();
    expect((await get('/health', { 'x-request-id': 'abc-1.2:3' })).headers.get('x-request-id')).toBe('abc-1.2:3');
    const long = 'x'.repeat(200);
    const made = (await get('/health', { 'x-request-id': long })).headers.get('x-request-id');
    expect(made).toMatch(/^[0-9a-f-]{36}$/);
    expect((await get('/nothing')).headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('are what pipelines know a request by', async () => {
    harness = await startHarness();
    await post(harness, '/v1/completions', { ...body, prompt: ['a', 'b'] }, { 'x-request-id': 'mine' });
    const ids = harness.pipeline.requests.map(({ requestId }) => requestId);
    expect(ids).toEqual([expect.stringMatching(/^mine-[0-9a-f]{8}$/), expect.stringMatching(/^mine-[0-9a-f]{8}$/)]);
    expect(new Set(ids).size).toBe(2);
  });
});

describe('limits', () => {
  it('answer 429 to more requests than are processed at a time', async () => {
    const held = gate();
    harness = await startHarness(held, { limits: { maxRequests: 2 } });
    const running = [post(harness, '/v1/completions', body), post(harness, '/v1/completions', body)];
    await expect.poll(() => harness.pipeline.open).toBe(2);
    const refused = await post(harness, '/v1/completions', body);
    expect(refused.status).toBe(429);
    expect(refused.headers.get('retry-after')).toBe('1');
    expect(refused.body.error).toMatchObject({ type: 'rate_limit_error', code: 'overloaded' });
    held.release();
    for (const answer of await Promise.all(running)) expect(answer.status).toBe(200);
  });

  it('answer 429 when bodies take too much memory together, until others are answered', async () => {
    const held = gate();
    const limits = { maxBodyBytes: 1_000, maxBodyBytesTogether: 1_000 };
    harness = await startHarness(held, { limits });
    const large = { prompt: 'x'.repeat(100), user: 'y'.repeat(600), max_tokens: 1 };
    const running = post(harness, '/v1/completions', large);
    await expect.poll(() => harness.pipeline.open).toBe(1);
    const refused = await post(harness, '/v1/completions', large);
    expect([refused.status, refused.body.error.code]).toEqual([429, 'overloaded']);
    held.release();
    expect((await running).status).toBe(200);
    await expect.poll(async () => (await post(harness, '/v1/completions', large)).status).toBe(200);
  });

  it('end requests that take too long', async () => {
    harness = await startHarness(gate(), { limits: { requestTimeoutMs: 50 } });
    const answer = await post(harness, '/v1/completions', body);
    expect(answer.status).toBe(504);
    expect(answer.body.error.code).toBe('deadline_exceeded');
  });
});

describe('closing', () => {
  it('finishes what runs and lets nobody in', async () => {
    const held = gate();
    harness = await startHarness(held);
    const running = post(harness, '/v1/completions', body);
    await expect.poll(() => harness.pipeline.open).toBe(1);
    const closing = harness.gateway.close(60_000);
    expect((await get('/ready')).status).toBe(503);
    expect((await get('/health')).status).toBe(200);
    expect((await post(harness, '/v1/completions', body)).status).toBe(503);
    held.release();
    expect((await running).status).toBe(200);
    await closing;
    await expect(get('/health')).rejects.toThrow('fetch failed');
  });

  it('ends what does not finish in time, and says so', async () => {
    harness = await startHarness(gate());
    const running = post(harness, '/v1/completions', body);
    await expect.poll(() => harness.pipeline.open).toBe(1);
    await harness.gateway.close(20);
    const answer = await running;
    expect(answer.status).toBe(503);
    expect(answer.body.error.message).toContain('shut down');
  });
});

describe('/metrics', () => {
  const engine = {
    running: 3,
    waiting: 2,
    kvUsage: 0.25,
    prefixQueriedTokens: 100,
    prefixHitTokens: 40,
    preemptions: 5,
  };

  it('count tokens, requests and latencies, and read the engine', async () => {
    harness = await startHarness({}, { engine: () => engine });
    await post(harness, '/v1/completions', { ...body, n: 2 });
    await post(harness, '/v1/completions', { ...body, top_p: 9 });
    await get('/made/up/by/a/client');
    const response = await get('/metrics');
    expect(response.headers.get('content-type')).toContain('text/plain');
    const lines = (await response.text()).split('\n');
    for (const line of [
      'conclave_prompt_tokens_total 3',
      'conclave_prompt_tokens_cached_total 3',
      'conclave_generation_tokens_total 8',
      'conclave_request_success_total{finished_reason="length"} 2',
      'conclave_request_failure_total{code="invalid_request"} 1',
      'conclave_time_to_first_token_seconds_count 1',
      'conclave_inter_token_latency_seconds_count 6',
      'conclave_e2e_request_latency_seconds_count 1',
      'conclave_request_queue_time_seconds_sum 0.0015',
      'conclave_request_prefill_time_seconds_count 1',
      'conclave_request_decode_time_seconds_count 1',
      'conclave_request_prompt_tokens_sum 3',
      'conclave_request_generation_tokens_count 2',
      'conclave_num_requests_running 3',
      'conclave_num_requests_waiting 2',
      'conclave_kv_cache_usage_ratio 0.25',
      'conclave_prefix_cache_queries_total 100',
      'conclave_prefix_cache_hits_total 40',
      'conclave_num_preemptions_total 5',
      'conclave_http_requests_total{method="POST",route="/v1/completions",status="200"} 1',
      'conclave_http_requests_total{method="POST",route="/v1/completions",status="400"} 1',
      'conclave_http_requests_total{method="GET",route="unknown",status="404"} 1',
    ]) {
      expect(lines).toContain(line);
    }
  });

  it('count streamed answers', async () => {
    harness = await startHarness();
    const response = await fetch(`${harness.url}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ ...body, stream: true }),
    });
    await response.text();
    await expect
      .poll(async () => (await get('/metrics')).text())
      .toContain('conclave_http_requests_total{method="POST",route="/v1/completions",status="200"} 1');
  });
});

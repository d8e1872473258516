import { once } from 'node:events';
import { afterEach, describe, expect, it } from 'vitest';
import { createApiKeys } from '../../../platform/rpc/api-keys.ts';
import { type Harness, post, startHarness } from './gateway-harness.ts';

let harness: Harness;
afterEach(() => harness.close());

const body = { prompt: 'Say', max_tokens: 1 };
const page = 'https://page.example';

const preflight = (path: string, origin = page): Promise<Response> =>
  fetch(harness.url + path, {
    method: 'OPTIONS',
    headers: {
      origin,
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization,content-type',
    },
  });

function chunked(text: string): Promise<Response> {
  const body = new Blob([text]).stream();
  const init: RequestInit = { method: 'POST', headers: { 'content-type': 'application/json' }, body, duplex: 'half' };
  return fetch(`${harness.url}/v1/completions`, init);
}

/** Holds a pipeline back until it is released. */
function gate() {
  const controller = new AbortController();
  const opened = once(controller.signal, 'abort');
  return { release: () => controller.abort(), before: async () => void (await opened) };
}

describe('pages of other sites', () => {
  it('may use the API where no key is asked for, streams included', async () => {
    harness = await startHarness();
    const asked = await preflight('/v1/chat/completions');
    expect(asked.status).toBe(204);
    expect(Object.fromEntries(asked.headers)).toMatchObject({
      'access-control-allow-origin': '*',
      'access-control-allow-methods': expect.stringContaining('POST'),
      'access-control-allow-headers': 'authorization,content-type',
    });
    for (const stream of [false, true]) {
      const answer = await fetch(`${harness.url}/v1/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', origin: page },
        body: JSON.stringify({ ...body, stream }),
      });
      await answer.text();
      expect(answer.headers.get('access-control-allow-origin')).toBe('*');
      expect(answer.headers.get('access-control-expose-headers')).toContain('x-request-id');
    }
    expect((await preflight('/dashboard/scale')).headers.get('access-control-allow-origin')).toBeNull();
  });

  it('may not where keys are asked for, unless they are named; then they ask without a key', async () => {
    const apiKeys = createApiKeys(['secret']);
    harness = await startHarness({}, { apiKeys });
    expect((await preflight('/v1/completions')).headers.get('access-control-allow-origin')).toBeNull();
    await harness.close();
    harness = await startHarness({}, { apiKeys, allowedOrigins: [page] });
    const asked = await preflight('/v1/completions');
    expect([asked.status, asked.headers.get('access-control-allow-origin')]).toEqual([204, page]);
    expect(asked.headers.get('vary')).toContain('Origin');
    const other = await preflight('/v1/completions', 'https://other.example');
    expect(other.headers.get('access-control-allow-origin')).toBeNull();
    const refused = await post(harness, '/v1/completions', body, { origin: page });
    expect([refused.status, refused.headers.get('access-control-allow-origin')]).toEqual([401, page]);
  });
});

describe('bodies without a length', () => {
  it('count as what they are: 40 small ones are served at once', async () => {
    const held = gate();
    harness = await startHarness(held);
    const running = Array.from({ length: 40 }, () => chunked(JSON.stringify(body)));
    await expect.poll(() => harness.pipeline.open).toBe(40);
    held.release();
    for (const answer of await Promise.all(running)) expect(answer.status).toBe(200);
  });

  it('are refused when they take too much memory together, and give it back', async () => {
    const held = gate();
    harness = await startHarness(held, { limits: { maxBodyBytes: 1_000, maxBodyBytesTogether: 1_000 } });
    const large = JSON.stringify({ ...body, user: 'y'.repeat(700) });
    const running = chunked(large);
    await expect.poll(() => harness.pipeline.open).toBe(1);
    expect((await chunked(large)).status).toBe(429);
    held.release();
    expect((await running).status).toBe(200);
    await expect.poll(async () => (await chunked(large)).status).toBe(200);
  });
});

it('a stream has its headers while the pipeline has nothing to say', async () => {
  const held = gate();
  harness = await startHarness(held);
  const response = await fetch(`${harness.url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...body, stream: true }),
  });
  expect([response.status, harness.pipeline.open]).toEqual([200, 1]);
  held.release();
  expect(await response.text()).toContain('data: [DONE]');
});

describe('what the server says of itself', () => {
  const get = async (path: string) => (await fetch(harness.url + path)).json();

  it('are its models, with slashes in their names or without', async () => {
    harness = await startHarness();
    const { data } = (await get('/v1/models')) as { data: { id: string }[] };
    expect(data.map(({ id }) => id)).toEqual(['clerk', 'org/clerk']);
    for (const path of ['clerk', 'org/clerk', 'org%2Fclerk', 'clerk/']) {
      expect(await get(`/v1/models/${path}`)).toMatchObject({ object: 'model', root: 'clerk' });
    }
    expect(await get('/v1/models/')).toMatchObject({ object: 'list' });
    expect(await get('/version')).toEqual({ version: expect.stringMatching(/^\d+\.\d+\.\d+/) });
  });

  it('is a document of all its routes', async () => {
    harness = await startHarness();
    const document = (await get('/openapi.json')) as { paths: object; components: { schemas: object } };
    expect(document).toMatchObject({ openapi: '3.1.0', info: { title: 'Conclave' } });
    for (const path of Object.keys(document.paths)) {
      const url = harness.url + path.replaceAll(/\{\w+\}/g, 'x');
      const methods = (await fetch(url, { method: 'PATCH' })).headers.get('allow')?.toLowerCase().split(', ') ?? [];
      const item = document.paths[path as keyof object] as object;
      expect(
        methods.filter((method) => method !== 'head'),
        path,
      ).toEqual(Object.keys(item).filter((key) => key !== 'parameters'));
    }
    expect(document.components.schemas).toMatchObject({
      CompletionRequest: {
        properties: { top_p: { anyOf: [{ type: 'number', minimum: 0, maximum: 1 }, { type: 'null' }] } },
      },
    });
  });
});

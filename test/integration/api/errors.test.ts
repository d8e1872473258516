import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Harness, post, startHarness } from './gateway-harness.ts';

let harness: Harness;

beforeAll(async () => {
  harness = await startHarness({}, { limits: { maxBodyBytes: 10_000, maxHeaderBytes: 4_096, receiveTimeoutMs: 500 } });
});
afterAll(() => harness.close());

describe('every error has the shape of an OpenAI error', () => {
  it.each([
    { what: 'an unknown path', path: '/v1/nothing', init: {}, status: 404, code: 'not_found' },
    { what: 'an unknown model', path: '/v1/models/nobody', init: {}, status: 404, code: 'model_not_found' },
    { what: 'a wrong method', path: '/v1/chat/completions', init: {}, status: 405, code: 'method_not_allowed' },
    {
      what: 'a wrong method with a body',
      path: '/v1/models',
      init: { method: 'PUT' },
      status: 405,
      code: 'method_not_allowed',
    },
    {
      what: 'an unknown method',
      path: '/v1/models/clerk',
      init: { method: 'DELETE' },
      status: 405,
      code: 'method_not_allowed',
    },
    {
      what: 'a body that is no JSON',
      path: '/v1/completions',
      init: { method: 'POST', body: '{"prompt": ', headers: { 'content-type': 'application/json' } },
      status: 400,
      code: 'invalid_request',
    },
    {
      what: 'an empty body',
      path: '/v1/completions',
      init: { method: 'POST', headers: { 'content-type': 'application/json' } },
      status: 400,
      code: 'invalid_request',
    },
    {
      what: 'a body that is no object',
      path: '/v1/completions',
      init: { method: 'POST', body: '[]', headers: { 'content-type': 'application/json' } },
      status: 400,
      code: 'invalid_request',
    },
    {
      what: 'another content type',
      path: '/v1/completions',
      init: { method: 'POST', body: 'prompt=x', headers: { 'content-type': 'application/x-www-form-urlencoded' } },
      status: 415,
      code: 'unsupported_media_type',
    },
    {
      what: 'plain text',
      path: '/v1/completions',
      init: { method: 'POST', body: '{}', headers: { 'content-type': 'text/plain' } },
      status: 415,
      code: 'unsupported_media_type',
    },
    {
      what: 'a body that is too large',
      path: '/v1/completions',
      init: {
        method: 'POST',
        body: JSON.stringify({ prompt: 'x'.repeat(10_001) }),
        headers: { 'content-type': 'application/json' },
      },
      status: 413,
      code: 'payload_too_large',
    },
    { what: 'a malformed path', path: '/v1/models/%zz', init: {}, status: 400, code: 'invalid_request' },
  ])('$what', async ({ path, init, status, code }) => {
    const response = await fetch(harness.url + path, init);
    expect(response.status).toBe(status);
    expect(response.headers.get('content-type')).toContain('application/json');
    expect(await response.json()).toEqual({
      error: {
        message: expect.any(String),
        type: 'invalid_request_error',
        param: path.includes('nobody') ? 'model' : null,
        code,
      },
    });
  });

  it.each(['__proto__', 'constructor'])('a field named %s is unknown like any other', async (name) => {
    const body = `{"prompt": "a", "max_tokens": 1, "${name}": {"prototype": {"max_tokens": "x"}, "max_tokens": "x"}}`;
    expect((await post(harness, '/v1/completions', body)).status).toBe(200);
  });

  it('a body that is too large says how large one may be', async () => {
    const { body } = await post(harness, '/v1/completions', { prompt: 'x'.repeat(10_001) });
    expect(body.error.message).toBe('the request body is larger than 9.77 KiB');
  });

  it('a wrong method says which ones there are', async () => {
    const response = await fetch(`${harness.url}/v1/completions`);
    expect(response.headers.get('allow')).toBe('POST');
  });

  it('names the field, the value and what was expected', async () => {
    const { status, body } = await post(harness, '/v1/completions', { prompt: 'a', top_p: 3 });
    expect(status).toBe(400);
    expect(body.error).toEqual({
      message: 'top_p: expected a number of at least 0 and at most 1, got 3',
      type: 'invalid_request_error',
      param: 'top_p',
      code: 'invalid_request',
    });
  });

  it('a context that is too short has a code of its own', async () => {
    const { body } = await post(harness, '/v1/completions', { prompt: 'a', max_tokens: 512 });
    expect(body.error).toMatchObject({ code: 'context_length_exceeded', param: 'max_tokens' });
  });
});

/** What the server answers to raw bytes; null when it only closes the connection. */
function raw(bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const { port } = new URL(harness.url);
    const socket = connect(Number(port), '127.0.0.1', () => socket.write(bytes));
    let answer = '';
    socket.on('data', (data) => (answer += data.toString()));
    socket.on('error', reject);
    socket.on('close', () => resolve(answer));
  });
}

describe('connections that misbehave', () => {
  it('get 400 for what is not HTTP', async () => {
    const answer = await raw('HELO conclave\r\n\r\n');
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(answer).toContain('"error":{');
  });

  it('get 431 for headers that are too large', async () => {
    const answer = await raw(`GET /health HTTP/1.1\r\nhost: x\r\nx-long: ${'a'.repeat(5_000)}\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 431 /);
    expect(answer).toContain('"error":{');
  });

  it.each([
    ['headers that never end', 'GET /health HTTP/1.1\r\nhost: x\r\n'],
    [
      'a body that never comes',
      'POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{',
    ],
  ])('get 408 for %s', async (_name, bytes) => {
    expect(await raw(bytes)).toMatch(/^HTTP\/1\.1 408 /);
  });
});

import { request as httpRequest } from 'node:http';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { codedError, FakePipeline } from '../../unit/controller/gateway/fake-pipeline.ts';
import { type Harness, startHarness } from './gateway-harness.ts';

let harness: Harness;
afterEach(() => harness.close());

const body = { prompt: 'Say', max_tokens: 500, ignore_eos: true };

/** A pipeline that makes a token per turn of the event loop, without an end that the client could see. */
const endless = { before: () => nextTurn() };

function post(path: string, payload: object): Promise<Response> {
  return fetch(harness.url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(payload),
  });
}

describe('a client that goes away', () => {
  it('ends its streams in the pipeline, a thousand times over', async () => {
    harness = await startHarness(endless);
    for (let round = 0; round < 50; round++) {
      await Promise.all(
        Array.from({ length: 20 }, async () => {
          const controller = new AbortController();
          const response = await fetch(`${harness.url}/v1/completions`, {
            method: 'POST',
            headers: { 'content-type': 'application/json' },
            body: JSON.stringify({ ...body, stream: true }),
            signal: controller.signal,
          });
          await response.body!.getReader().read();
          controller.abort();
        }),
      );
    }
    await expect.poll(() => harness.pipeline.open).toBe(0);
    expect(harness.pipeline.requests).toHaveLength(1_000);
    expect(harness.pipeline.abandoned).toBe(1_000);
    const metrics = await (await fetch(`${harness.url}/metrics`)).text();
    expect(metrics).toContain('conclave_gateway_requests_running 0');
    expect(metrics).toContain('conclave_request_failure_total{code="cancelled"} 1000');
  });

  it('ends a request that is not streamed', async () => {
    harness = await startHarness({ before: (_request, _index, _position, signal) => aborted(signal) });
    const controller = new AbortController();
    const waiting = fetch(`${harness.url}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal: controller.signal,
    });
    await expect.poll(() => harness.pipeline.open).toBe(1);
    controller.abort();
    await expect(waiting).rejects.toMatchObject({ name: 'AbortError' });
    await expect.poll(() => harness.pipeline.open).toBe(0);
    expect(harness.pipeline.abandoned).toBe(1);
  });

  it('ends all prompts of a request', async () => {
    harness = await startHarness({ before: (_request, _index, _position, signal) => aborted(signal) });
    const controller = new AbortController();
    const waiting = fetch(`${harness.url}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ ...body, prompt: ['a', 'b', 'c'] }),
      signal: controller.signal,
    });
    await expect.poll(() => harness.pipeline.open).toBe(3);
    controller.abort();
    await expect(waiting).rejects.toMatchObject({ name: 'AbortError' });
    await expect.poll(() => harness.pipeline.open).toBe(0);
  });
});

describe('a client that reads slowly', () => {
  it('stops the reading of tokens, and gets them all in the end', async () => {
    let produced = 0;
    // A long context: the answer is larger than what sockets buffer.
    const pipeline = new FakePipeline({
      token: (_request, _index, position) => 33 + (position % 50),
      before: async () => {
        produced++;
        await nextTurn();
      },
      stride: 400,
    });
    harness = await startHarness({}, { router: { pick: () => pipeline }, model: longModel });
    const received = await new Promise<string>((resolve, reject) => {
      const request = httpRequest(`${harness.url}/v1/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
      });
      request.on('error', reject);
      request.on('response', (response) => {
        response.pause();
        void waitUntilSteady(() => produced).then((stalledAt) => {
          // Everything would be 20,000 responses; sockets hold a small part of that.
          expect(stalledAt).toBeLessThan(10_000);
          let text = '';
          response.setEncoding('utf8');
          response.on('data', (chunk: string) => (text += chunk));
          response.on('end', () => resolve(text));
          response.resume();
        });
      });
      request.end(JSON.stringify({ prompt: 'Say', max_tokens: 8_000_000, ignore_eos: true, stream: true }));
    });
    const events = received.split('\n\n').filter((event) => event !== '');
    expect(events.at(-1)).toBe('data: [DONE]');
    const length = events
      .slice(0, -1)
      .reduce((sum, event) => sum + (JSON.parse(event.slice(6)).choices[0].text as string).length, 0);
    expect(length).toBe(8_000_000);
  });
});

describe('a pipeline that fails', () => {
  it('before the first token gets a status of its own', async () => {
    harness = await startHarness({
      before: () => {
        throw codedError('OVERLOADED', 'the queue is full');
      },
    });
    for (const stream of [false, true]) {
      const response = await post('/v1/completions', { ...body, stream });
      expect(response.status).toBe(429);
      expect(response.headers.get('retry-after')).toBe('1');
      expect(await response.json()).toEqual({
        error: { message: 'the queue is full', type: 'rate_limit_error', param: null, code: 'overloaded' },
      });
    }
  });

  it('in mid-stream is reported as an event, without details of the failure', async () => {
    harness = await startHarness({
      before: (_request, _index, position) => {
        if (position === 2) throw new Error('secret');
      },
    });
    const text = await (await post('/v1/completions', { ...body, stream: true })).text();
    expect(text).not.toContain('secret');
    const events = text.split('\n\n').filter((event) => event !== '');
    expect(JSON.parse(events.at(-1)!.slice(6))).toEqual({
      error: {
        message: 'the server failed to process the request',
        type: 'server_error',
        param: null,
        code: 'internal',
      },
    });
    expect(text).not.toContain('[DONE]');
  });

  it('is replaced without the client noticing', async () => {
    const options = { answer: 'abcdefghij' };
    let deaths = 0;
    harness = await startHarness({
      ...options,
      before: (_request, _index, position) => {
        if (position === 3 * (deaths + 1) && deaths++ < 3) throw codedError('PIPELINE_LOST');
      },
    });
    const text = await (await post('/v1/completions', { ...body, max_tokens: 30, stream: true })).text();
    const pieces = text.split('\n\n').filter((event) => event.startsWith('data: {'));
    expect(pieces.map((event) => JSON.parse(event.slice(6)).choices[0].text).join('')).toBe('abcdefghij'.repeat(3));
    expect(harness.pipeline.requests).toHaveLength(4);
    expect(await (await fetch(`${harness.url}/metrics`)).text()).toContain('conclave_request_resumes_total 3');
  });
});

const longModel = {
  names: ['clerk'] as const,
  maxModelLen: 16_000_000,
  vocabSize: 264,
  eosTokenIds: [258],
  parameters: 1,
  activeParameters: 1,
  digest: '',
  created: 0,
};

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

/** The value once it has not changed for a while. */
async function waitUntilSteady(read: () => number): Promise<number> {
  let last = -1;
  await expect.poll(() => last === (last = read()) && last > 0, { interval: 200, timeout: 30_000 }).toBe(true);
  return last;
}

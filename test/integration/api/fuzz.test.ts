import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Harness, startHarness } from './gateway-harness.ts';

let harness: Harness;

beforeAll(async () => {
  harness = await startHarness({}, { limits: { receiveTimeoutMs: 2_000 } });
});
afterAll(() => harness.close());

/** Sends a body; the status, after checking that the answer is a whole stream, JSON, or a proper error. */
async function send(path: string, body: string | Uint8Array): Promise<number> {
  const response = await fetch(harness.url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: body as string,
  });
  const text = await response.text();
  const streamed = response.headers.get('content-type')?.startsWith('text/event-stream') === true;
  if (!(streamed ? text.endsWith('data: [DONE]\n\n') : isAnswer(response.status, JSON.parse(text)))) {
    throw new Error(`odd answer ${response.status}: ${text}`);
  }
  return response.status;
}

function isAnswer(status: number, body: { error?: Record<string, unknown> }): boolean {
  if (status === 200) return body.error === undefined;
  const { message, type, param, code } = body.error ?? {};
  const strings = [message, type, code, param ?? ''].every((member) => typeof member === 'string');
  return strings && param !== undefined && type === 'invalid_request_error';
}

const paths = fc.constantFrom('/v1/completions', '/v1/chat/completions', '/tokenize', '/detokenize');
const names = [
  'model prompt messages tokens stream stream_options n best_of max_tokens',
  'seed stop max_completion_tokens temperature top_p top_k min_p logit_bias logprobs',
  'top_logprobs echo tools tool_choice response_format chat_template_kwargs documents stop_token_ids ignore_eos',
  'return_token_ids add_special_tokens continue_final_message reasoning_effort modalities __proto__',
].flatMap((line) => line.split(' '));
const edge = fc.constantFrom(
  0,
  -1,
  1,
  0.5,
  1e308,
  -0,
  2 ** 53,
  '',
  '\u0000',
  '\ud800',
  null,
  true,
  [],
  {},
  [[]],
  [{}],
  [''],
);
const value = fc.oneof(edge, fc.jsonValue({ maxDepth: 3 }), fc.array(fc.nat(400)), fc.string());
const part = fc.record({ type: fc.constantFrom('text', 'image_url', 5), text: value }, { requiredKeys: [] });
const message = fc.record(
  {
    role: fc.oneof(fc.constantFrom('user', 'assistant', 'tool'), value),
    content: fc.oneof(fc.string(), fc.array(part), value),
  },
  { requiredKeys: [] },
);
const body = fc
  .tuple(
    fc.dictionary(fc.constantFrom(...names), value, { maxKeys: 6 }),
    fc.option(fc.record({ prompt: fc.constantFrom('Say', [33, 34], ['a', 'b']) }), { nil: {} }),
    fc.option(fc.record({ messages: fc.array(message, { minLength: 1, maxLength: 3 }) }), { nil: {} }),
  )
  .map(([odd, prompt, messages]) => JSON.stringify({ ...prompt, ...messages, ...odd }));

describe('whatever a client sends', () => {
  it('is answered or refused, never failed at: bodies of known fields with odd values', async () => {
    const seen = new Set<number>();
    await fc.assert(
      fc.asyncProperty(paths, body, async (path, text) => {
        const status = await send(path, text);
        seen.add(status);
        expect(status).toBeLessThan(500);
      }),
      { numRuns: 1_500 },
    );
    expect(seen).toContain(200);
    expect(seen).toContain(400);
  });

  it('is answered or refused, never failed at: any JSON and any bytes', async () => {
    const any = fc.oneof(fc.json(), fc.string(), fc.uint8Array({ maxLength: 200 }));
    await fc.assert(
      fc.asyncProperty(paths, any, async (path, text) => {
        expect(await send(path, text)).toBeLessThan(500);
      }),
      { numRuns: 500 },
    );
  });

  it('may be nested as deep as it likes', async () => {
    const depth = 100_000;
    const nested = `${'['.repeat(depth)}${']'.repeat(depth)}`;
    expect(await send('/v1/completions', `{"prompt": ${nested}}`)).toBe(400);
    const tools = `[{"type": "function", "function": {"parameters": ${nested}}}]`;
    const status = await send(
      '/v1/chat/completions',
      `{"messages": [{"role": "user", "content": "a"}], "tools": ${tools}}`,
    );
    expect(status).toBeLessThan(500);
  });

  it('leaves nothing running', async () => {
    await expect.poll(() => harness.pipeline.open).toBe(0);
    expect(await (await fetch(`${harness.url}/ready`)).json()).toMatchObject({ ready: true });
  });
});

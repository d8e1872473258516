// Streams frame their own chunks of HTTP: what clients of each version read must be the same events.
import { once } from 'node:events';
import { connect } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { type Harness, startHarness } from './gateway-harness.ts';

let harness: Harness;
afterEach(() => harness.close());

function request(version: string, connection: string, tokens: number): string {
  const body = JSON.stringify({ prompt: 'Say', max_tokens: tokens, ignore_eos: true, stream: true });
  return (
    `POST /v1/completions HTTP/${version}\r\nHost: a\r\nConnection: ${connection}\r\n` +
    `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
  );
}

/** Everything that a server sends on one connection until it closes it. */
async function exchange(requests: string): Promise<Buffer> {
  const socket = connect(Number(new URL(harness.url).port), '127.0.0.1');
  const parts: Buffer[] = [];
  socket.on('data', (data: Buffer) => parts.push(data));
  socket.write(requests);
  await once(socket, 'close');
  return Buffer.concat(parts);
}

/** The body of an answer in chunks, and what follows it. Throws where the framing is broken. */
function unchunk(answer: Buffer): { readonly head: string; readonly body: string; readonly rest: Buffer } {
  const begin = answer.indexOf('\r\n\r\n') + 4;
  const parts: Buffer[] = [];
  for (let at = begin; ; ) {
    const end = answer.indexOf('\r\n', at);
    const digits = answer.toString('latin1', at, end);
    if (!/^[0-9a-f]+$/.test(digits)) throw new Error(`expected the length of a chunk at byte ${at}, got "${digits}"`);
    const next = end + 2 + Number.parseInt(digits, 16);
    if (answer.toString('latin1', next, next + 2) !== '\r\n') throw new Error(`expected a line end at byte ${next}`);
    parts.push(answer.subarray(end + 2, next));
    at = next + 2;
    if (digits !== '0') continue;
    return {
      head: answer.toString('latin1', 0, begin),
      body: Buffer.concat(parts).toString(),
      rest: answer.subarray(at),
    };
  }
}

/** The texts of all events, which must end with [DONE]. */
function textOf(body: string): string {
  const events = body.split('\n\n').filter((event) => event !== '' && !event.startsWith(':'));
  expect(events.pop()).toBe('data: [DONE]');
  return events
    .map((event) => (JSON.parse(event.slice('data: '.length)) as { choices: { text: string }[] }).choices[0]!.text)
    .join('');
}

it('a stream over HTTP/1.1 comes in chunks whose lengths count bytes, also one behind another on a connection', async () => {
  harness = await startHarness();
  const answers = await exchange(request('1.1', 'keep-alive', 60) + request('1.1', 'close', 40));
  const first = unchunk(answers);
  const second = unchunk(first.rest);
  expect(first.head).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
  expect(first.head.match(/transfer-encoding: chunked/gi)).toHaveLength(1);
  expect(textOf(first.body).length).toBeGreaterThan(textOf(second.body).length);
  // The shorter one ends within a character.
  expect(textOf(first.body).startsWith(textOf(second.body).replace(/\ufffd+$/, ''))).toBe(true);
  expect(textOf(first.body)).toContain('wörld! 日本 👋🏽');
  expect(second.rest).toHaveLength(0);
});

it('a stream over HTTP/1.0 comes as it is, up to the end of the connection', async () => {
  harness = await startHarness();
  const answer = (await exchange(request('1.0', 'close', 60))).toString();
  expect(answer).not.toMatch(/transfer-encoding/i);
  expect(textOf(answer.slice(answer.indexOf('\r\n\r\n') + 4))).toContain('wörld! 日本 👋🏽');
});

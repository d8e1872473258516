import { once } from 'node:events';
import { Agent, type IncomingMessage, request } from 'node:http';
import type { Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { credentials } from '@grpc/grpc-js';
import { afterEach, describe, expect, it } from 'vitest';
import { conclave } from '../../../proto/messages.ts';
import { type Harness, startHarness } from './gateway-harness.ts';

let harness: Harness;
afterEach(() => harness.close());

interface Sent {
  readonly response: IncomingMessage;
  readonly socket: Socket;
}

/** Asks for a completion over the agent's one connection, or over one of its own; settles with the answer's head. */
async function ask(through: Agent | false, stream: boolean): Promise<Sent> {
  const sent = request(`${harness.url}/v1/completions`, {
    method: 'POST',
    agent: through,
    headers: { 'content-type': 'application/json' },
  });
  sent.end(JSON.stringify({ prompt: 'Say', max_tokens: 4, stream }));
  const [socket] = (await once(sent, 'socket')) as [Socket];
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  return { response, socket };
}

describe('a gateway that retires', () => {
  it('says so to health checks, and goes on answering, each connection for the last time', async () => {
    harness = await startHarness();
    harness.gateway.retire();
    expect((await fetch(`${harness.url}/ready`)).status).toBe(503);
    expect((await fetch(`${harness.url}/health`)).status).toBe(200);
    for (const stream of [false, true]) {
      const { response } = await ask(false, stream);
      expect(response.statusCode).toBe(200);
      expect(response.headers.connection).toBe('close');
      await text(response);
    }
  });

  it('answers one more request on a connection whose answer was under way, before it closes', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const held = holdAfterFirst();
    harness = await startHarness(held);
    const { response, socket } = await ask(agent, true);
    expect(response.headers.connection).toBe('keep-alive');
    harness.gateway.retire();
    const closed = harness.gateway.close(60_000);
    held.release();
    expect(await text(response)).toContain('data: [DONE]');
    // As a client does that has not heard of anything.
    const next = await ask(agent, false);
    expect(next.socket).toBe(socket);
    expect([next.response.statusCode, next.response.headers.connection]).toEqual([200, 'close']);
    await text(next.response);
    await closed;
  });

  it.each([
    { kind: 'is silent after its answer', held: true },
    { kind: 'was idle all the time', held: false },
  ])('ends a connection that $kind, and then closes', async ({ held: waits }) => {
    const agent = new Agent({ keepAlive: true });
    const held = holdAfterFirst();
    if (!waits) held.release();
    harness = await startHarness(held);
    const { response, socket } = await ask(agent, true);
    if (!waits) await text(response);
    harness.gateway.retire();
    const closed = harness.gateway.close(60_000);
    held.release();
    if (waits) await text(response);
    await Promise.all([closed, once(socket, 'close')]);
    expect(socket.destroyed).toBe(true);
  });

  it('closes in time, whatever still runs', async () => {
    harness = await startHarness(holdAfterFirst());
    const { response } = await ask(false, true);
    harness.gateway.retire();
    await harness.gateway.close(50);
    expect(await text(response)).toContain('shut down');
  });

  it('lets gRPC clients finish what runs, and connect again for what comes', async () => {
    const held = holdAfterFirst();
    harness = await startHarness(held);
    const client = new conclave.InferenceService(harness.grpcAddress, credentials.createInsecure());
    const running = client.generate({ text: 'Say', limits: { maxTokens: 4 } });
    await once(running, 'readable');
    harness.gateway.retire();
    held.release();
    const next = client.generate({ text: 'Say', limits: { maxTokens: 4 } });
    for (const call of [running, next]) {
      const responses: unknown[] = [];
      for await (const response of call) responses.push(response);
      expect(responses.length).toBeGreaterThan(0);
    }
    client.close();
  });
});

/** A pipeline whose tokens after the first wait until they are released. */
function holdAfterFirst() {
  const released = new AbortController();
  const opened = once(released.signal, 'abort');
  let tokens = 0;
  return {
    release: () => released.abort(),
    before: async () => {
      if (tokens++ > 0) await opened;
    },
  };
}

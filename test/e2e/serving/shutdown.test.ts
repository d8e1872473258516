import { describe, expect, it } from 'vitest';
import { Server, until } from '../server.ts';

const longRequest = {
  model: 'clerk',
  prompt: 'Count from 1 to 99.',
  temperature: 0,
  max_tokens: 300,
  ignore_eos: true,
  stream: true,
  stream_options: { include_usage: true },
};

async function startStream(server: Server): Promise<{ first: string; rest: Promise<string> }> {
  const response = await server.fetch('/v1/completions', longRequest);
  expect(response.status).toBe(200);
  const stream = response.body?.pipeThrough(new TextDecoderStream());
  const reader = stream?.getReader();
  const first = (await reader?.read())?.value ?? '';
  const rest = (async () => {
    let text = '';
    for (;;) {
      const piece = await reader?.read().catch(() => undefined);
      if (piece === undefined || piece.done) return text;
      text += piece.value;
    }
  })();
  return { first, rest };
}

describe('a signal', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)(
    '%s finishes what runs, refuses what comes, and ends with 0',
    async (signal) => {
      const server = await Server.start(['--weights', 'f32']);
      const streams = await Promise.all([startStream(server), startStream(server)]);
      const ended = server.stop(signal);
      await until(
        () =>
          server.fetch('/ready').then(
            ({ status }) => status,
            () => 'refused',
          ),
        (status) => status !== 200,
      );
      for (const { first, rest } of streams) {
        const text = first + (await rest);
        expect(text).toContain('"completion_tokens":300');
        expect(text).toMatch(/data: \[DONE\]\s*$/);
      }
      expect(await ended).toEqual({ code: 0, signal: null });
    },
  );

  it('ends what still runs after --shutdown-timeout', async () => {
    const server = await Server.start(['--weights', 'f32', '--shutdown-timeout', '0']);
    const { rest } = await startStream(server);
    expect(await server.stop()).toEqual({ code: 0, signal: null });
    expect(await rest).not.toContain('"completion_tokens":300');
  });

  it('twice ends at once', async () => {
    const server = await Server.start(['--weights', 'f32']);
    const stream = await startStream(server);
    process.kill(server.ready.pid, 'SIGTERM');
    await until(
      () =>
        server.fetch('/ready').then(
          ({ status }) => status,
          () => 'refused',
        ),
      (status) => status !== 200,
    );
    expect((await server.stop('SIGTERM')).code).toBe(143);
    await stream.rest;
  });
});

describe('overload', () => {
  it('does not come from the prompts of one request, which wait for each other', async () => {
    await using server = await Server.start(['--weights', 'f32', '--max-num-seqs', '2', '--max-queue', '1']);
    const prompt = Array.from({ length: 40 }, (_, i) => `Prompt ${i}`);
    const body = { model: 'clerk', prompt, max_tokens: 5, ignore_eos: true };
    const answer = await server.post<{ choices: object[]; usage: object }>('/v1/completions', body);
    expect(answer.choices).toHaveLength(40);
    expect(answer.usage).toMatchObject({ completion_tokens: 200 });
    const many = await server.post<{ choices: object[] }>('/v1/completions', {
      ...body,
      prompt: prompt.slice(0, 3),
      n: 9,
    });
    expect(many.choices).toHaveLength(27);
  });

  it('is refused with 429 and Retry-After; what was accepted is finished', async () => {
    await using server = await Server.start(['--weights', 'f32', '--max-num-seqs', '1', '--max-queue', '2']);
    const responses = await Promise.all(
      Array.from({ length: 12 }, () =>
        server.fetch('/v1/completions', { ...longRequest, stream: false, stream_options: null }),
      ),
    );
    const accepted = responses.filter(({ status }) => status === 200);
    const refused = responses.filter(({ status }) => status === 429);
    expect(accepted.length).toBeGreaterThanOrEqual(3);
    expect(refused.length).toBeGreaterThan(0);
    expect(accepted.length + refused.length).toBe(responses.length);
    for (const response of refused) {
      expect(Number(response.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
      expect(await response.json()).toMatchObject({ error: { type: 'rate_limit_error', message: expect.any(String) } });
    }
    for (const response of accepted) {
      expect(await response.json()).toMatchObject({ usage: { completion_tokens: 300 } });
    }
  });
});

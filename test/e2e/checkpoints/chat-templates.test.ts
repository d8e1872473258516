import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { root, Server, until } from '../server.ts';

const hostile = [
  '{% set all = namespace(x=[1, 2, 3, 4]) %}{% for i in range(60) %}{% set all.x = all.x + all.x %}{% endfor %}',
  '{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}',
];
/** Loops when a conversation begins with "loop", grows when it begins with "grow". */
const template = `{% if messages[0].content == 'grow' %}${hostile[0]}{% endif %}{% if messages[0].content == 'loop' %}${hostile[1]}{% endif %}{{ messages[0].content }}`;

describe('a checkpoint whose chat template does not end', () => {
  let folder = '';
  let server: Server;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'conclave-template-'));
    await cp(join(root, 'models/clerk'), folder, { recursive: true });
    await writeFile(join(folder, 'chat_template.jinja'), template);
    server = await Server.start([folder, '--served-model-name', 'clerk', '--weights', 'f32']);
  });
  afterAll(async () => {
    await server.stop();
    await rm(folder, { recursive: true });
  });

  const chat = (content: string) => ({ messages: [{ role: 'user', content }], max_tokens: 1 });

  // On a busy machine the time may be over before the memory is used up.
  const either = /memory limit of 512 MiB|time limit of 5\.0 s/;
  it.each([
    ['loop', '/v1/chat/completions', /time limit of 5\.0 s/],
    ['grow', '/v1/chat/completions', either],
    ['grow', '/tokenize', either],
  ])('refuses what makes it %s at %s, and goes on', async (content, path, limit) => {
    const refused = server.fetch(path, chat(content));
    expect(await server.post('/v1/completions', { prompt: 'What is 1 + 1?', max_tokens: 1 })).toMatchObject({
      object: 'text_completion',
    });
    const answer = await refused;
    expect(answer.status).toBe(400);
    expect((await answer.json()) as object).toMatchObject({
      error: { code: 'invalid_request', param: 'messages', message: expect.stringMatching(limit) },
    });
    expect(await server.post('/v1/chat/completions', chat('fine'))).toMatchObject({ object: 'chat.completion' });
  });

  it('ends with 0 on SIGTERM while the template runs', async () => {
    const running = server.fetch('/v1/chat/completions', chat('loop')).then(({ status }) => status);
    await until(
      () => server.metric('conclave_gateway_requests_running'),
      (requests) => requests === 1,
    );
    expect(await server.stop()).toEqual({ code: 0, signal: null });
    expect(await running).toBe(400);
  });
});

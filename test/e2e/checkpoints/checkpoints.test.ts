import { cp, mkdir, mkdtemp, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { root, run, Server } from '../server.ts';

const clerk = join(root, 'models/clerk');
let top = '';
beforeAll(async () => {
  top = await mkdtemp(join(tmpdir(), 'conclave-checkpoints-'));
});
afterAll(() => rm(top, { recursive: true }));

async function copyOf(name: string): Promise<string> {
  const folder = join(top, name);
  await cp(clerk, folder, { recursive: true });
  return folder;
}

async function change(folder: string, name: string, keys: object): Promise<void> {
  const path = join(folder, name);
  await writeFile(path, JSON.stringify({ ...JSON.parse(await readFile(path, 'utf8')), ...keys }));
}

describe('a snapshot in Hugging Face’s cache whose tokenizer alone names the end token', () => {
  const name = 'Qwen/Qwen3-30B-A3B';
  let server: Server;
  let snapshot = '';
  beforeAll(async () => {
    const repository = join(top, 'models--Qwen--Qwen3-30B-A3B');
    snapshot = join(repository, 'snapshots', '0123456789abcdef0123456789abcdef01234567');
    await mkdir(snapshot, { recursive: true });
    await cp(clerk, join(repository, 'blobs'), { recursive: true });
    await rm(join(repository, 'blobs/generation_config.json'));
    await change(join(repository, 'blobs'), 'config.json', { eos_token_id: null });
    for (const file of ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json']) {
      await symlink(join('../../blobs', file), join(snapshot, file));
    }
    server = await Server.start([snapshot, '--weights', 'f32', '--log-format', 'json']);
  });
  afterAll(() => server.stop());

  it('ends an answer there, unless the request ignores end tokens', async () => {
    expect(server.stderr).toContain('end tokens: <|im_end|> (258: tokenizer_config.json');
    const body = {
      model: name,
      messages: [{ role: 'user', content: 'What is 974 + 662?' }],
      temperature: 0,
      max_tokens: 60,
    };
    type Answer = {
      choices: [{ message: { content: string }; finish_reason: string }];
      usage: { completion_tokens: number };
    };
    const { choices } = await server.post<Answer>('/v1/chat/completions', body);
    expect(choices[0]).toMatchObject({ message: { content: '974 + 662 = 1636' }, finish_reason: 'stop' });
    const further = await server.post<Answer>('/v1/chat/completions', { ...body, ignore_eos: true });
    expect(further).toMatchObject({ choices: [{ finish_reason: 'length' }], usage: { completion_tokens: 60 } });
  });

  it('is served and found under the name of its repository', async () => {
    expect(server.model).toBe(name);
    for (const path of [`/v1/models/${name}`, `/v1/models/${encodeURIComponent(name)}`]) {
      const response = await server.fetch(path);
      expect(response.status).toBe(200);
      expect((await response.json()) as object).toMatchObject({ id: name });
    }
    expect((await server.fetch('/v1/models/Qwen/other')).status).toBe(404);
  });

  it('is described like that', async () => {
    const json = await run(['inspect', snapshot, '--output', 'json']);
    expect(JSON.parse(json.stdout)).toMatchObject({
      name,
      chatObstacle: null,
      endTokens: [
        { id: 258, token: '<|im_end|>', sources: ['tokenizer_config.json', 'tokenizer_config.json: chat_template'] },
      ],
    });
    const text = await run(['inspect', `${snapshot}/`]);
    expect(text.stdout).toMatch(/^model +Qwen\/Qwen3-30B-A3B \(qwen3_moe\)$/m);
    expect(text.stdout).toMatch(/^end tokens +<\|im_end\|> \(258: tokenizer_config\.json, /m);
  });
});

describe('a folder that cannot be served', () => {
  const cases: readonly (readonly [string, (folder: string) => Promise<void>, string])[] = [
    ['no tokenizer', (folder) => rm(join(folder, 'tokenizer.json')), 'tokenizer.json: no such file'],
    ['no configuration', (folder) => rm(join(folder, 'config.json')), 'config.json: no such file'],
    ['no weights', (folder) => rm(join(folder, 'model.safetensors')), 'expected model.safetensors'],
    ['truncated weights', (folder) => truncate(join(folder, 'model.safetensors'), 5_000_000), 'truncated'],
    [
      'a missing shard',
      async (folder) => {
        await rm(join(folder, 'model.safetensors'));
        const index = { weight_map: { 'model.norm.weight': 'model-00001-of-00002.safetensors' } };
        await writeFile(join(folder, 'model.safetensors.index.json'), JSON.stringify(index));
      },
      'model-00001-of-00002.safetensors: no such file',
    ],
    [
      'a tokenizer that is no JSON',
      (folder) => writeFile(join(folder, 'tokenizer.json'), '{'),
      'tokenizer.json: not valid',
    ],
    [
      'a decoder that is not supported',
      (folder) => change(folder, 'tokenizer.json', { decoder: { type: 'CTC' } }),
      'decoder CTC is not supported',
    ],
    [
      'sampling defaults that make no sense',
      (folder) => change(folder, 'generation_config.json', { top_p: 7 }),
      'generation_config.json: top_p: 7',
    ],
    ['another activation', (folder) => change(folder, 'config.json', { hidden_act: 'gelu' }), 'hidden_act is "gelu"'],
  ];
  it.each(cases)('because of %s is refused by inspect and serve alike', async (name, damage, reason) => {
    const folder = await copyOf(name.replaceAll(' ', '-'));
    await damage(folder);
    const inspected = await run(['inspect', folder]);
    const served = await run(['serve', folder, '--port', '0', '--grpc-port', '0', '--device', 'cpu']);
    expect(inspected).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining(reason) });
    expect(served).toEqual(inspected);
  });
});

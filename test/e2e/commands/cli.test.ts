import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { goldenFolder } from '../golden.ts';
import { root, run, Server, until } from '../server.ts';

const clerk = join(root, 'models/clerk');

function folder(): string {
  return mkdtempSync(join(tmpdir(), 'conclave-cli-'));
}

describe('help', () => {
  it('lists the commands, and says where options come from', async () => {
    const { code, stdout } = await run(['--help']);
    expect(code).toBe(0);
    for (const word of ['serve', 'inspect', 'synth', 'CONCLAVE_MAX_MODEL_LEN', 'Exit codes'])
      expect(stdout).toContain(word);
  });

  it('of serve shows every flag under a heading, with its default, and examples', async () => {
    const { code, stdout } = await run(['serve', '--help']);
    expect(code).toBe(0);
    for (const flag of [
      ...['host', 'port', 'grpc-port', 'served-model-name', 'weights', 'threads', 'max-model-len', 'max-num-seqs'],
      ...['max-num-batched-tokens', 'kv-memory', 'api-key', 'api-key-file', 'config', 'log-level', 'no-prefix-caching'],
    ]) {
      expect(stdout).toContain(`--${flag}`);
    }
    for (const heading of ['Model:', 'Engine:', 'Scheduling:', 'Server:', 'Reporting:', 'Examples:']) {
      expect(stdout).toContain(heading);
    }
    expect(stdout).toContain('(default: 8000)');
  });
});

describe('inspect', () => {
  it('reports a checkpoint as text and as JSON', async () => {
    const text = await run(['inspect', clerk]);
    expect(text).toMatchObject({ code: 0, stderr: '' });
    expect(text.stdout).toContain('5.1 M');
    const json = await run(['inspect', clerk, '--output', 'json']);
    expect(JSON.parse(json.stdout)).toMatchObject({
      name: 'clerk',
      layers: 6,
      experts: { perLayer: 16, topK: 2 },
      maxPosition: 512,
    });
  });

  it('lists what is wrong with a checkpoint', async () => {
    const directory = folder();
    writeFileSync(join(directory, 'config.json'), '{"model_type": "gpt_fish"}');
    const { code, stderr, stdout } = await run(['inspect', directory]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain('gpt_fish');
    expect(stderr).not.toMatch(/\n\s+at /);
  });
});

describe('synth', () => {
  it('writes a checkpoint that can be served, the same for the same seed', async () => {
    const [first, second] = [join(folder(), 'a'), join(folder(), 'b')];
    const written = await run(['synth', 'tiny', first, '--seed', '5', '--output', 'json']);
    expect(written.code).toBe(0);
    expect(JSON.parse(written.stdout)).toMatchObject({ shape: 'tiny', seed: 5, directory: first });
    await run(['synth', 'tiny', second, '--seed', '5']);
    const weights = (directory: string): Buffer => readFileSync(join(directory, 'model.safetensors'));
    expect(weights(first).equals(weights(second))).toBe(true);

    await using server = await Server.start([first]);
    const answer = await server.post<{ usage: object }>('/v1/completions', {
      model: 'a',
      prompt: 'Any text',
      max_tokens: 5,
      ignore_eos: true,
    });
    expect(answer.usage).toMatchObject({ completion_tokens: 5 });
  });

  it.each(['SIGINT', 'SIGTERM'] as const)('leaves nothing behind on %s', async (signal) => {
    const parent = folder();
    const child = spawn(process.execPath, ['bin/conclave.js', 'synth', 'moe-1b7', join(parent, 'a', 'b')], {
      cwd: root,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    const closed = once(child, 'close');
    await until(
      () => readdirSync(parent, { recursive: true }),
      (files) => files.some((file) => String(file).endsWith('.partial')),
    );
    child.kill(signal);
    expect(await closed).toEqual([signal === 'SIGINT' ? 130 : 143, null]);
    expect(stderr).toContain(`${signal}: nothing is left`);
    expect(readdirSync(parent)).toEqual([]);
  });

  it('touches no folder that holds something', async () => {
    const { code, stderr } = await run(['synth', 'tiny', clerk]);
    expect(code).toBe(1);
    expect(stderr).toContain('not empty');
  });
});

describe('serve', () => {
  it('takes flags over the environment over the file', async () => {
    const file = join(folder(), 'conclave.yaml');
    writeFileSync(file, `model: ${clerk}\nserved-model-name: file\nmax-model-len: 100\nweights: f32\n`);
    const environment = {
      CONCLAVE_CONFIG: file,
      CONCLAVE_SERVED_MODEL_NAME: 'variable',
      CONCLAVE_MAX_MODEL_LEN: '120',
    };
    await using server = await Server.start(['--max-model-len', '140'], environment);
    expect(server.ready.model).toMatchObject({ name: 'variable', maxModelLen: 140 });
    const models = await (await server.fetch('/v1/models')).json();
    expect(models).toMatchObject({ data: [{ id: 'variable', max_model_len: 140 }] });
  });

  it('gives requests without a seed that of --seed, so that they can be repeated', async () => {
    await using server = await Server.start(['--seed', '7']);
    const sample = async (fields: object): Promise<string> => {
      const answer = await server.post<{ choices: [{ text: string }] }>('/v1/completions', {
        ...{ model: 'clerk', prompt: 'A', temperature: 1.5, max_tokens: 40, ignore_eos: true },
        ...fields,
      });
      return answer.choices[0].text;
    };
    const first = await sample({});
    expect(await sample({})).toBe(first);
    expect(await sample({ seed: 7 })).toBe(first);
    expect(await sample({ seed: 8 })).not.toBe(first);
  });

  it('draws by all 64 bits of a seed', async () => {
    await using server = await Server.start([]);
    const sample = async (seed: string): Promise<string> => {
      const fields = '"prompt": "A", "temperature": 1.5, "max_tokens": 40, "ignore_eos": true';
      const response = await server.fetch('/v1/completions', undefined, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: `{${fields}, "seed": ${seed}}`,
      });
      const answer = (await response.json()) as { choices: [{ text: string }] };
      return answer.choices[0].text;
    };
    const seeds = ['0', '9007199254740992', '9007199254740993', '9223372036854775807', '18446744073709551615', '-2'];
    const texts = await Promise.all(seeds.map(sample));
    expect(new Set(texts).size).toBe(seeds.length);
    expect(await sample('-1')).toBe(texts[4]);
  });

  it('ends with 0 on a signal that comes while it loads', async () => {
    const child = spawn(process.execPath, ['bin/conclave.js', 'serve', '--port', '0', '--grpc-port', '0'], {
      cwd: root,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const exited = once(child, 'exit');
    await once(child.stderr, 'data');
    child.kill('SIGTERM');
    expect(await exited).toEqual([0, null]);
  });

  it('asks for the key that --api-key-file names', async () => {
    const file = join(folder(), 'keys');
    writeFileSync(file, '# clients\nsecret-1\n\nsecret-2\n');
    await using server = await Server.start(['--api-key-file', file]);
    const ask = (headers: Readonly<Record<string, string>>): Promise<number> =>
      server.fetch('/v1/models', undefined, { headers }).then(({ status }) => status);
    expect(await ask({})).toBe(401);
    expect(await ask({ Authorization: 'Bearer wrong' })).toBe(401);
    expect(await ask({ Authorization: 'Bearer secret-2' })).toBe(200);
  });

  it('shows one curl command whose answer can be checked', async () => {
    await using server = await Server.start(['--output', 'json']);
    const text = await run(['serve', '--help']);
    expect(text.stdout).toContain('curl');
    const answer = await server.post<{ choices: [{ message: { content: string } }] }>('/v1/chat/completions', {
      model: 'clerk',
      messages: [{ role: 'user', content: 'What is 974 + 662?' }],
      temperature: 0,
    });
    expect(answer.choices[0].message.content).toBe('974 + 662 = 1636');
  });

  it.each<[string, readonly string[], number, RegExp]>([
    ['an unknown flag', ['--max-num-seq', '3'], 2, /did you mean --max-num-seqs/i],
    ['a bad value', ['--port', '99999'], 2, /--port: expected a whole number from 0 to 65535, got "99999"/],
    ['a missing folder', ['/does/not/exist'], 1, /\/does\/not\/exist/],
    ['a folder without a model', [join(root, 'test')], 1, /config\.json/],
    ['a missing key file', ['--api-key-file', '/does/not/exist'], 2, /--api-key-file.*no such file/s],
    ['a missing configuration file', ['--config', '/does/not/exist'], 2, /--config.*no such file/s],
    [
      'a KV cache that holds no sequence of the length asked for',
      [goldenFolder('qwen3'), '--max-model-len', '512', '--kv-memory', '64KiB'],
      1,
      /--max-model-len 512 .*needs .*--kv-memory/s,
    ],
    [
      'one port for both',
      ['--port', '8123', '--grpc-port', '8123'],
      2,
      /--grpc-port: expected another port than --port/,
    ],
    ['a host that nobody knows', ['--host', 'nowhere.invalid'], 1, /nowhere\.invalid cannot be resolved\n {2}Give/],
    [
      'a KV cache larger than any machine has memory',
      ['--kv-memory', '900TiB'],
      1,
      /--kv-memory 900 TiB is more than the .* of memory that there are/,
    ],
    [
      'workers larger than the machine',
      ['--workers', '1', '--worker-memory', '900TiB'],
      2,
      /--worker-memory: expected/,
    ],
  ])('refuses %s in words', async (_, flags, code, message) => {
    const finished = await run(['serve', '--port', '0', '--grpc-port', '0', ...flags]);
    expect(finished).toMatchObject({ code, stdout: '' });
    expect(finished.stderr).toMatch(message);
    expect(finished.stderr).not.toMatch(/\n\s+at /);
  });

  it('refuses a port that is in use, before it loads anything', async () => {
    const listener = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => listener.once('listening', resolve));
    const address = listener.address();
    const port = String(typeof address === 'object' ? address?.port : 0);
    for (const flags of [
      ['--port', port, '--grpc-port', '0'],
      ['--port', '0', '--grpc-port', port],
    ]) {
      const { code, stderr } = await run(['serve', ...flags]);
      expect(code).toBe(1);
      expect(stderr).toContain(`127.0.0.1:${port} is in use`);
    }
    listener.close();
  });
});

describe('a wrong address of a controller', () => {
  it.each(['localhost', 'http://localhost:8001', ':1', 'a:0', 'a:70000', '::1:8001'])(
    '%s is refused',
    async (server) => {
      const { code, stderr } = await run(['status', '--server', server]);
      expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('--server: expected HOST:PORT') });
    },
  );

  it.each(['status', 'events', 'plan', 'replicas'])('%s ends as soon as it is refused there', async (command) => {
    // Longer than the run may take: only the refusal can end it.
    const { code, stderr } = await run([command, '--server', '127.0.0.1:1', '--timeout', '10m']);
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringContaining('no controller answers at 127.0.0.1:1'),
    });
  });
});

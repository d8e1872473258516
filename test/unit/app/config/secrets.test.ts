import { mkdtempSync, renameSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import type { z } from 'zod';
import { withoutSecrets } from '../../../../app/command/hidden-secrets.ts';
import { readAdminKeys, readApiKeys } from '../../../../app/config/api-keys.ts';
import { natsOptions } from '../../../../app/config/connections.ts';
import { controllerSchema } from '../../../../app/config/controller-config.ts';
import { exposureWarning } from '../../../../app/config/exposure.ts';
import { ConfigError, loadConfig } from '../../../../app/config/load-config.ts';
import { readNatsUrls } from '../../../../app/config/nats-urls.ts';
import { drainSchema, eventsSchema, lookSchema, scaleSchema } from '../../../../app/config/operate-config.ts';
import { optionsOf } from '../../../../app/config/option.ts';
import { serveSchema } from '../../../../app/config/serve-config.ts';
import { workerSchema } from '../../../../app/config/worker-config.ts';

const schemas: Readonly<Record<string, z.ZodObject>> = {
  ...{ serve: serveSchema, controller: controllerSchema, worker: workerSchema },
  ...{ look: lookSchema, scale: scaleSchema, drain: drainSchema, events: eventsSchema },
};
const secretOptions = Object.entries(schemas).flatMap(([command, schema]) =>
  optionsOf(schema)
    .filter(({ secret }) => secret)
    .map((option) => ({ command, schema, option, name: option.name })),
);
const marker = 'swordfish';
const silent = { info: () => undefined, error: () => undefined };
const folder = mkdtempSync(join(tmpdir(), 'conclave-secrets-'));

function write(name: string, content: string | Buffer): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

/** What a person reads of a configuration; empty when it is taken. */
function complaint(read: () => unknown): string {
  try {
    read();
    return '';
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
}

it('knows which options are secret', () => {
  expect(new Set(secretOptions.map(({ name }) => name))).toEqual(
    new Set(['api-key', 'admin-key', 'nats', 'nats-password', 'nats-token']),
  );
});

describe.each(secretOptions)('--$name of $command', ({ schema, option }) => {
  const wrong = [
    ...[
      `${marker}\n${marker}`,
      `${marker} ${marker}`,
      '',
      ' ',
      `${marker},`,
      { [marker]: marker },
      [[marker]],
      42,
      true,
    ],
  ];
  it.each(wrong.map((value) => [value]))('is not shown when it is wrong: %j', (value) => {
    const flags = { [option.key]: value };
    const said = complaint(() => loadConfig(schema, { flags, environment: {}, file: null }));
    expect(said).not.toContain(marker);
    const file = write('wrong.yaml', `${option.name}: ${JSON.stringify(value)}\n`);
    expect(complaint(() => loadConfig(schema, { flags: {}, environment: {}, file }))).not.toContain(marker);
  });

  it.each(['*swordfish', '!swordfish', '"swordfish', '{swordfish', '[swordfish', '@swordfish', '>swordfish', '&a *b'])(
    'is not shown when YAML takes it for something else: %s',
    (text) => {
      const file = write('odd.yaml', `${option.name}: ${text}\n`);
      expect(complaint(() => loadConfig(schema, { flags: {}, environment: {}, file }))).not.toContain(marker);
    },
  );

  it('is hidden in the list of processes', () => {
    const line = ['conclave', `--${option.name}`, marker, 'x', `--${option.name}=${marker}`, `--${option.name}`];
    expect(withoutSecrets(line, schema)).toEqual([
      ...['conclave', `--${option.name}`, '***', 'x', `--${option.name}=***`, `--${option.name}`],
    ]);
  });
});

describe('keys', () => {
  const load = (sources: object) =>
    loadConfig(serveSchema, { flags: {}, environment: {}, file: null, ...sources }).config;
  const allows = (sources: object, key: string): boolean => readApiKeys(load(sources), silent).allows(`Bearer ${key}`);

  it.each([
    ['a flag', { flags: { apiKey: ['a,b', 'c'] } }],
    ['YAML', { file: write('keys.yaml', 'api-key: ["a,b", c]\n') }],
    ['a file', { flags: { apiKeyFile: write('keys', 'a,b\nc\n') } }],
    ['a file of Windows', { flags: { apiKeyFile: write('keys-crlf', '\uFEFF# keys\r\na,b\r\n\r\n  c\t\r\n') } }],
    ['a file without a last line end', { flags: { apiKeyFile: write('keys-end', 'c\na,b') } }],
    ['old line ends', { flags: { apiKeyFile: write('keys-cr', 'c\ra,b') } }],
  ])('from %s are taken whole', (_, sources) => {
    expect(['a,b', 'c'].map((key) => allows(sources, key))).toEqual([true, true]);
    expect(['a', 'b', 'a,b,c', '', '#', '# keys'].map((key) => allows(sources, key))).not.toContain(true);
  });

  it('from a variable is one, commas and all', () => {
    const sources = { environment: { CONCLAVE_API_KEY: 'a,b\n' } };
    expect(allows(sources, 'a,b')).toBe(true);
    expect(allows(sources, 'a')).toBe(false);
  });

  it('may have letters of any script, sent as UTF-8', () => {
    const sources = { flags: { apiKeyFile: write('keys-utf8', 'schlüssel-ключ\n') } };
    // As Node's HTTP server gives the bytes of a header.
    expect(allows(sources, Buffer.from('schlüssel-ключ').toString('latin1'))).toBe(true);
    expect(allows(sources, 'schlussel')).toBe(false);
  });

  it('of a file that is replaced are taken, and those that it lost are refused; one that holds none changes nothing', async () => {
    const apiKeyFile = write('keys-rotated', 'old');
    const said: string[] = [];
    const log = {
      info: (_: object, message: string) => said.push(message),
      error: (_: object, message: string) => said.push(message),
    };
    const keys = readApiKeys(load({ flags: { apiKeyFile } }), log);
    const let_in = () => ['old', 'new'].filter((one) => keys.allows(`Bearer ${one}`));
    renameSync(write('keys-next', 'new\n'), apiKeyFile);
    await vi.waitFor(() => expect(let_in()).toEqual(['new']), 10_000);
    write('keys-rotated', '# none\n');
    await vi.waitFor(() => expect(said).toHaveLength(2), 10_000);
    expect(let_in()).toEqual(['new']);
    expect(said).toEqual(['the keys of --api-key-file were replaced', 'the keys of --api-key-file stay those before']);
  });

  it('with spaces are refused by their line, as no header carries them', () => {
    const apiKeyFile = write('keys-space', `# my keys\n${marker} ${marker}\n`);
    expect(complaint(() => readApiKeys(load({ flags: { apiKeyFile } }), silent))).toBe(
      `--api-key-file ${apiKeyFile}:2: expected a key without spaces`,
    );
  });

  it('of operators are read alike', () => {
    const { allows: let_in } = readAdminKeys(load({ flags: { adminKey: ['x,y'] } }), silent);
    expect([let_in('Bearer x,y'), let_in('Bearer x')]).toEqual([true, false]);
  });
});

describe('NATS URLs', () => {
  const none = { user: null, password: null, token: null };

  it.each([
    [['nats://10.0.0.1:4222'], { ...none, servers: ['nats://10.0.0.1:4222'] }],
    [['10.0.0.1', 'tls://[::1]:4222/'], { ...none, servers: ['10.0.0.1', 'tls://[::1]:4222'] }],
    [['nats://u:p%40%2C@h:1'], { ...none, servers: ['nats://h:1'], user: 'u', password: 'p@,' }],
    [['nats://u:p/q@h'], { ...none, servers: ['nats://h'], user: 'u', password: 'p/q' }],
    [['nats://u:p:q@h'], { ...none, servers: ['nats://h'], user: 'u', password: 'p:q' }],
    [
      ['nats://tok@a', 'nats://tok@b', 'nats://c'],
      { ...none, servers: ['nats://a', 'nats://b', 'nats://c'], token: 'tok' },
    ],
  ])('%j give servers without credentials', (urls, expected) => {
    expect(readNatsUrls(urls)).toEqual(expected);
  });

  it.each([
    [['nats://u:hunter2@h', 'nats://u:other@h']],
    [['nats://u:hun@ter2@h']],
    [['nats://u:hunter2%@h']],
    [['nats://u:hunter2@']],
    [['http://u:hunter2@h']],
    [['nats://u:hunter2', 'rest@h:4222']],
    [['nats://u:123', 'hunter2@h:4222']],
    [['u:hunter2@h']],
  ])('%j are refused without being shown', (urls) => {
    const said = complaint(() => readNatsUrls(urls));
    expect(said).toContain('--nats');
    expect(said).not.toMatch(/hun|ter2|other|123/);
  });

  it('show nothing of a password, whatever it is', () => {
    const config = { natsUser: null, natsPassword: null, natsToken: null, natsCredentials: null, natsNkey: null };
    fc.assert(
      fc.property(fc.string(), fc.string(), (before, after) => {
        const url = `nats://me:${before}${marker}${after}@h:4222`;
        try {
          const { config: loaded } = loadConfig(workerSchema, { flags: { nats: url }, environment: {}, file: null });
          const { servers } = natsOptions({ ...loaded, ...config }, 'test', null);
          expect(servers.join()).not.toContain(marker);
        } catch (error) {
          expect(String(error)).not.toContain(marker);
        }
      }),
    );
  });

  it('exclude another way to log in', () => {
    const load = (flags: Readonly<Record<string, unknown>>) =>
      natsOptions(loadConfig(workerSchema, { flags, environment: {}, file: null }).config, 'test', null);
    expect(complaint(() => load({ nats: 'nats://u:p@h', natsToken: 't' }))).toContain('expected one way to log in');
    expect(load({ nats: 'nats://u:p@h' })).toMatchObject({ servers: ['nats://h'], user: 'u', password: 'p' });
  });
});

describe('a host that others reach', () => {
  const open = { apiKey: null, apiKeyFile: null };

  it.each(['0.0.0.0', '::', '[::]', '10.0.0.1', 'fe80::1', 'gpu7', '::ffff:10.0.0.1'])('%s is warned of', (host) => {
    expect(exposureWarning({ ...open, host })).toMatch(/--host .*--api-key-file/);
    expect(exposureWarning({ ...open, host, apiKeyFile: 'keys' })).toBeNull();
    expect(exposureWarning({ ...open, host, apiKey: ['k'] })).toBeNull();
  });

  it.each(['127.0.0.1', '127.1', '::1', '[::1]', 'localhost', '::ffff:127.0.0.1'])('%s is not one', (host) => {
    expect(exposureWarning({ ...open, host })).toBeNull();
  });
});

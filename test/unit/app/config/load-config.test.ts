import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ConfigError, loadConfig } from '../../../../app/config/load-config.ts';
import { optionsOf } from '../../../../app/config/option.ts';
import { serveSchema } from '../../../../app/config/serve-config.ts';

const nothing = { flags: {}, environment: {}, file: null };

function yaml(text: string): string {
  const path = join(mkdtempSync(join(tmpdir(), 'conclave-config-')), 'conclave.yaml');
  writeFileSync(path, text);
  return path;
}

function problemsOf(sources: Partial<Parameters<typeof loadConfig>[1]>): readonly string[] {
  try {
    loadConfig(serveSchema, { ...nothing, ...sources });
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

describe('loadConfig', () => {
  it('takes what is asked for where nothing else says it, and names who asks', () => {
    const asked = [
      { name: 'port', value: '1', place: 'MoEModel m, spec.port' },
      { name: 'max-num-seqs', value: '7', place: 'MoEModel m, spec.options.max-num-seqs' },
      { name: 'not-of-this-command', value: 'x', place: 'MoEModel m' },
    ];
    const sources = { ...nothing, environment: { CONCLAVE_PORT: '2' }, asked };
    expect(loadConfig(serveSchema, sources).config).toMatchObject({ port: 2, maxNumSeqs: 7 });
    const wrong = [{ name: 'max-num-seqs', value: 'many', place: 'MoEModel m, spec.options.max-num-seqs' }];
    expect(problemsOf({ asked: wrong })).toEqual([expect.stringMatching(/^MoEModel m, spec\.options\.max-num-seqs: /)]);
  });

  it('takes a flag over the environment over the file over the default', () => {
    const file = yaml('port: 1\ngrpc-port: 1\nmax-num-seqs: 1\n');
    const environment = { CONCLAVE_PORT: '2', CONCLAVE_GRPC_PORT: '2' };
    const { config } = loadConfig(serveSchema, { flags: { port: '3' }, environment, file });
    expect(config).toMatchObject({ port: 3, grpcPort: 2, maxNumSeqs: 1, blockSize: 16 });
  });

  it('gives the same values from text and from YAML', () => {
    const file = yaml(
      'kv-memory: 1.5GiB\nrequest-timeout: 2m\nprefix-caching: false\nserved-model-name: [a, b]\nmodel: /m\nport: 9\n',
    );
    const flags = {
      kvMemory: '1536MiB',
      requestTimeout: '120',
      prefixCaching: 'false',
      servedModelName: ['a,b'],
      model: '/m',
      port: '9',
    };
    expect(loadConfig(serveSchema, { ...nothing, flags }).config).toEqual(
      loadConfig(serveSchema, { ...nothing, file }).config,
    );
  });

  it('keeps all digits of a number, in text and in YAML', () => {
    const seeds = [
      ['18446744073709551615', 2n ** 64n - 1n],
      ['9007199254740993', 2n ** 53n + 1n],
      ['-1', 2n ** 64n - 1n],
    ] as const;
    for (const [written, seed] of seeds) {
      expect(loadConfig(serveSchema, { ...nothing, flags: { seed: written } }).config.seed).toBe(seed);
      expect(loadConfig(serveSchema, { ...nothing, file: yaml(`seed: ${written}`) }).config.seed).toBe(seed);
    }
    const file = yaml('served-model-name: 007\nmodel: 12345678901234567890\n');
    expect(loadConfig(serveSchema, { ...nothing, file }).config).toMatchObject({ model: '12345678901234567890' });
    const large = yaml('kv-memory: 9007199254740993\nmax-queue: 1e400\nseed: 18446744073709551616\n');
    expect(problemsOf({ file: large, flags: { maxModelLen: '9007199254740993' } }).toSorted()).toEqual(
      [
        '--max-model-len: expected a whole number from 1 to 9007199254740991, got "9007199254740993"',
        `${large}:1: kv-memory: expected an amount of memory such as 512MiB, 4GiB or 4G, got "9007199254740993"`,
        `${large}:2: max-queue: expected a whole number from 0 to 1000000, got "1e400"`,
        `${large}:3: seed: expected a whole number from ${-(2n ** 63n)} to ${2n ** 64n - 1n}, got "18446744073709551616"`,
      ].toSorted(),
    );
  });

  it('lists every problem with its path and source', () => {
    const file = yaml('weights: q5\nmax-num-seq: 3\nmaxModelLen: 7\n');
    const problems = problemsOf({ file, flags: { port: 'abc' }, environment: { CONCLAVE_KV_MEMORY: 'lots' } });
    expect(problems.toSorted()).toEqual(
      [
        '--port: expected a whole number from 0 to 65535, got "abc"',
        'CONCLAVE_KV_MEMORY: expected an amount of memory such as 512MiB, 4GiB or 4G, got "lots"',
        `${file}:1: weights: expected one of auto, f32, bf16, q8, q4, got "q5"`,
        `${file}:2: max-num-seq: unknown option; did you mean max-num-seqs?`,
        `${file}:3: maxModelLen: unknown option; did you mean max-model-len?`,
      ].toSorted(),
    );
  });

  it('holds options against each other', () => {
    expect(problemsOf({ flags: { maxNumSeqs: '1024' } })).toEqual([
      '--max-num-batched-tokens: expected at least --max-num-seqs, as every running sequence takes a token of each step',
    ]);
  });

  it.each([
    ['no file', '/does/not/exist.yaml', /no such file/],
    ['broken YAML', yaml('port: [1'), /:1: /],
    ['a duplicate key', yaml('port: 1\nport: 2\n'), /:2: .*unique/],
    ['a list', yaml('- port\n'), /expected a map/],
  ])('refuses %s', (_, file, expected) => {
    expect(problemsOf({ file }).join('\n')).toMatch(expected);
  });

  it('takes an empty file and null values as nothing said', () => {
    expect(loadConfig(serveSchema, { ...nothing, file: yaml('# all defaults\n') }).config.port).toBe(8000);
    expect(loadConfig(serveSchema, { ...nothing, file: yaml('port:\n') }).config.port).toBe(8000);
  });

  it('skips the variables that Kubernetes sets for a service named conclave', () => {
    const environment = {
      CONCLAVE_PORT: 'tcp://10.0.0.1:8000',
      CONCLAVE_SERVICE_HOST: '10.0.0.1',
      CONCLAVE_SERVICE_PORT_HTTP: '8000',
      CONCLAVE_PORT_8000_TCP_ADDR: '10.0.0.1',
    };
    expect(loadConfig(serveSchema, { ...nothing, environment })).toMatchObject({
      config: { port: 8000 },
      warnings: [],
    });
  });

  it('warns of a variable that no option reads', () => {
    const { warnings } = loadConfig(serveSchema, { ...nothing, environment: { CONCLAVE_MAX_SEQS: '4' } });
    expect(warnings).toEqual([
      'CONCLAVE_MAX_SEQS is not an option of this command; did you mean CONCLAVE_MAX_NUM_SEQS?',
    ]);
  });

  it.each([
    ['port', ['-1', '65536', '1.5', '', ' ', 'NaN', '1e3', {}, [], true]],
    ['kvMemory', ['0', '-1GiB', '4 parsecs', '1e99', {}, 1.5]],
    ['requestTimeout', ['-1s', '1d', 'soon', '30 days', '1000h']],
    ['prefixCaching', ['maybe', 2, {}]],
    ['servedModelName', ['', ',', [1], {}]],
    ['apiKeyFile', ['', '  ', {}]],
  ])('refuses bad values of %s', (key, values) => {
    for (const value of values) expect(problemsOf({ flags: { [key]: value } }), JSON.stringify(value)).toHaveLength(1);
  });

  it('is read-only', () => {
    const { config } = loadConfig(serveSchema, { ...nothing, flags: { servedModelName: ['a'] } });
    expect(Object.isFrozen(config)).toBe(true);
    expect(Object.isFrozen(config.servedModelName)).toBe(true);
  });
});

describe('the options of serve', () => {
  const options = optionsOf(serveSchema);

  it('all have a description, and either a default or words for it', () => {
    for (const { name, description, defaultValue, fallback } of options) {
      expect(description, name).toMatch(/\.$/);
      if (defaultValue === null && name !== 'api-key-file') expect(fallback, name).toBeTruthy();
    }
  });

  it('have names of their own', () => {
    expect(new Set(options.map(({ variable }) => variable)).size).toBe(options.length);
  });
});

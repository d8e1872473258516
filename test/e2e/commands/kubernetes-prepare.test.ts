import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SecretServer } from '../../integration/kubernetes/secret-server.ts';
import { run } from '../server.ts';

let folder = '';
let server: SecretServer;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'conclave-prepare-'));
  server = await SecretServer.start();
  writeFileSync(join(folder, 'config'), server.kubeconfig);
});
afterEach(() => {
  server.close();
  rmSync(folder, { recursive: true, force: true });
});

const everything = [
  ...['--authority', 'c-ca', '--certificate', 'c-worker-tls=*.c-expert.default.svc,localhost,127.0.0.1'],
  ...['--certificate', 'c-nats-tls=c-nats', '--keys', 'c-api-keys', '--keys', 'c-admin-keys'],
  ...['--credentials', 'c-nats-auth=conclave'],
];
const prepare = (...flags: readonly string[]) =>
  run(['kubernetes', 'prepare', '--namespace', 'default', '--instance', 'c', ...flags], {
    KUBECONFIG: join(folder, 'config'),
  });
const keysOf = (name: string) => Object.keys(server.secrets.get(name)?.['data'] ?? {});

describe('kubernetes prepare', () => {
  it('makes what is missing once, whoever else does so at the same time', async () => {
    const both = await Promise.all([prepare(...everything), prepare(...everything)]);
    expect(both.map(({ code, stderr }) => [code, stderr])).toEqual([
      [0, ''],
      [0, ''],
    ]);
    const made = new Map(server.secrets);
    expect([...made.keys()].sort()).toEqual(
      ['c-admin-keys', 'c-api-keys', 'c-ca', 'c-nats-auth', 'c-nats-tls', 'c-worker-tls'].sort(),
    );
    expect(keysOf('c-worker-tls')).toEqual(['tls.crt', 'tls.key', 'ca.crt']);
    expect([keysOf('c-api-keys'), keysOf('c-nats-auth')]).toEqual([['keys'], ['user', 'password']]);
    expect(made.get('c-ca')?.metadata['labels']).toMatchObject({ 'app.kubernetes.io/instance': 'c' });
    const again = await prepare(...everything, '--output', 'json');
    expect(JSON.parse(again.stdout)).toEqual({
      namespace: 'default',
      secrets: ['c-api-keys', 'c-admin-keys', 'c-nats-auth'].map((secret) => ({ secret, done: 'is there' })),
    });
    expect(new Map(server.secrets)).toEqual(made);
  });

  it('says which right is missing, and what to do', async () => {
    server.forbidden.add('create');
    const { code, stderr } = await prepare(...everything);
    expect(code).toBe(1);
    expect(stderr).toMatch(/cannot create the Secret c-api-keys in the namespace default: .*is forbidden/);
    expect(stderr).toContain('Allow the verb "create" on the resource "secrets" in the namespace default');
    expect(stderr).not.toMatch(/\n\s+at /);
  });
});

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Transport } from '../../../controller/kubernetes/api/transport.ts';
import { KubernetesSecrets } from '../../../controller/kubernetes/certificates/kubernetes-secrets.ts';
import { SecretConflict, type SecretContent } from '../../../controller/kubernetes/certificates/secret.ts';
import { SecretServer } from './secret-server.ts';

let server: SecretServer;
let transport: Transport;
let store: KubernetesSecrets;
beforeEach(async () => {
  server = await SecretServer.start();
  transport = new Transport(server.config);
  store = new KubernetesSecrets(transport, 'default');
});
afterEach(() => {
  transport.close();
  server.close();
});

const content = (data: Readonly<Record<string, string>>): SecretContent => ({
  ...{ name: 'keys', type: 'Opaque', labels: { a: 'b' }, annotations: { old: 'x' }, data },
});

describe('Secrets in the API server', () => {
  it('are created, read and changed; what others put there stays', async () => {
    expect(await store.read('keys')).toBeNull();
    await store.write(content({ one: 'schlüssel', two: '2' }), null);
    server.secrets.get('keys')!.metadata['ownerReferences'] = [{ name: 'owner' }];
    const before = await store.read('keys');
    expect(before).toMatchObject({ type: 'Opaque', labels: { a: 'b' }, data: { one: 'schlüssel', two: '2' } });
    await store.write({ ...content({ one: '1' }), annotations: {} }, before);
    expect(await store.read('keys')).toMatchObject({ annotations: {}, data: { one: '1' } });
    expect(server.secrets.get('keys')).toMatchObject({
      metadata: { ownerReferences: [{ name: 'owner' }], labels: { a: 'b' } },
      data: { one: Buffer.from('1').toString('base64') },
    });
    expect(Object.keys(server.secrets.get('keys')!['data'] as object)).toEqual(['one']);
  });

  it('that somebody else wrote meanwhile are a conflict: made, changed or deleted', async () => {
    await store.write(content({ one: '1' }), null);
    const before = await store.read('keys');
    await expect(store.write(content({ one: '2' }), null)).rejects.toBeInstanceOf(SecretConflict);
    await store.write(content({ one: '3' }), before);
    await expect(store.write(content({ one: '4' }), before)).rejects.toBeInstanceOf(SecretConflict);
    server.secrets.delete('keys');
    await expect(store.write(content({ one: '5' }), before)).rejects.toBeInstanceOf(SecretConflict);
  });

  it.each([
    ['get', () => store.read('keys')],
    ['create', () => store.write(content({ one: '1' }), null)],
  ])('say which right is missing: %s', async (verb, call) => {
    server.forbidden.add(verb);
    await expect(call()).rejects.toMatchObject({
      message: expect.stringMatching(
        new RegExp(`cannot ${verb} the Secret keys in the namespace default: .*is forbidden: User "system:`),
      ),
      remedy: expect.stringContaining(`the verb "${verb}" on the resource "secrets" in the namespace default`),
    });
  });

  it('say that a namespace is missing, and that nobody answers', async () => {
    const elsewhere = new KubernetesSecrets(transport, 'elsewhere');
    await expect(elsewhere.write(content({}), null)).rejects.toMatchObject({
      remedy: expect.stringContaining('create namespace elsewhere'),
    });
    server.close();
    await expect(store.read('keys')).rejects.toMatchObject({ remedy: expect.stringContaining('can be reached') });
  });
});

import { describe, expect, it } from 'vitest';
import {
  credentialsSecret,
  type GeneratedSecret,
  generateSecret,
  keysSecret,
} from '../../../../../controller/kubernetes/certificates/generated-secrets.ts';
import { MemorySecrets } from './memory-secrets.ts';

const labels = { 'app.kubernetes.io/name': 'conclave' };
const user = credentialsSecret('nats', 'conclave');
const draw = (store: MemorySecrets, wanted: GeneratedSecret) => generateSecret(wanted, { store, labels });

describe('Secrets of keys and passwords', () => {
  it('are drawn once and kept; what is missing is added', async () => {
    const store = new MemorySecrets();
    expect(await draw(store, keysSecret('a'))).toBe('created with keys');
    expect(await draw(store, keysSecret('b'))).toBe('created with keys');
    const drawn = store.data('a')['keys'];
    expect(drawn).toMatch(/^[\w-]{43}$/);
    expect(store.data('b')['keys']).not.toBe(drawn);
    expect(await draw(store, keysSecret('a'))).toBeNull();
    expect(store.data('a')['keys']).toBe(drawn);
    expect(await draw(store, user)).toBe('created with user, password');
    const secret = store.secrets.get('nats')!;
    await store.write({ ...secret, data: { user: 'my own', password: '', other: 'x' } }, secret);
    expect(await draw(store, user)).toBe('completed with password');
    expect(store.data('nats')).toMatchObject({ user: 'my own', other: 'x' });
    expect(store.secrets.get('nats')?.labels).toEqual({ ...labels, 'conclave.dev/secret': 'credentials' });
  });

  it('are the same for all who draw them at the same time', async () => {
    const store = new MemorySecrets();
    const done = await Promise.all(Array.from({ length: 5 }, () => draw(store, user)));
    expect(done.filter((one) => one !== null)).toHaveLength(1);
  });

  it('of somebody else are not touched', async () => {
    const store = new MemorySecrets();
    await store.write({ name: 'a', type: 'Opaque', labels: {}, annotations: {}, data: {} }, null);
    await expect(draw(store, keysSecret('a'))).rejects.toThrow('without the label conclave.dev/secret=keys');
  });
});

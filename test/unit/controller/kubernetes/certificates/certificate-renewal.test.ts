import { afterEach, expect, it, vi } from 'vitest';
import { CertificateRenewal } from '../../../../../controller/kubernetes/certificates/certificate-renewal.ts';
import { defaultPolicy } from '../../../../../controller/kubernetes/certificates/keep-certificates.ts';
import { SecretError, type SecretStore } from '../../../../../controller/kubernetes/certificates/secret.ts';
import { ManualClock } from '../../../worker/engine/manual-clock.ts';
import { MemorySecrets } from './memory-secrets.ts';

let renewal: CertificateRenewal | null = null;
afterEach(() => renewal?.close());

function start(store: SecretStore, leads: () => boolean) {
  const clock = new ManualClock();
  const changes: string[] = [];
  const errors: unknown[] = [];
  renewal = new CertificateRenewal({
    ...{ store, clock, leads, authority: 'ca', labels: {}, policy: defaultPolicy, wallClock: Date.now },
    certificates: async () => new Map([['worker-tls', ['localhost']]]),
    onChange: ({ secret, message }) => changes.push(`${secret}: ${message}`),
    onError: (error) => errors.push(error),
  });
  /** One look, to its end. */
  const look = async (): Promise<void> => {
    clock.advance(30_000);
    await vi.waitFor(() => expect(clock.waiting).toBe(1));
  };
  return { changes, errors, look };
}

it('certificates are renewed by the leader alone', async () => {
  const store = new MemorySecrets();
  let leads = false;
  const { changes, look } = start(store, () => leads);
  await look();
  expect(store.secrets.size).toBe(0);
  leads = true;
  await look();
  await look();
  expect(changes).toEqual(['ca: made an authority: there is none', 'worker-tls: issued a certificate: there is none']);
});

it('a look that fails is reported, and the next one makes up for it', async () => {
  const store = new MemorySecrets();
  const failure = new SecretError('not allowed to get the Secret ca', 'Allow it.');
  let refused = true;
  const { changes, errors, look } = start(
    {
      read: async (name) => {
        if (refused) throw failure;
        return store.read(name);
      },
      write: (content, before) => store.write(content, before),
    },
    () => true,
  );
  await look();
  expect([errors, changes]).toEqual([[failure], []]);
  refused = false;
  await look();
  expect(changes).toHaveLength(2);
});

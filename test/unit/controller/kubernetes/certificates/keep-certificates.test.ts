import { createPrivateKey, X509Certificate } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  type CertificateOptions,
  keepCertificates,
} from '../../../../../controller/kubernetes/certificates/keep-certificates.ts';
import { PURPOSE_LABEL } from '../../../../../controller/kubernetes/certificates/secret.ts';
import { MemorySecrets } from './memory-secrets.ts';

const hour = 3_600_000;
const day = 24 * hour;
const start = Date.parse('2026-01-01T00:00:00Z');

const certificates = new Map([
  ['controller-tls', ['conclave', 'conclave.default.svc', '10.0.0.1']],
  ['worker-tls', ['*.conclave-expert.default.svc']],
  ['nats-tls', ['nats', 'localhost']],
]);
const secrets = [...certificates.keys()];

function cluster(changes: Partial<CertificateOptions> = {}) {
  const store = new MemorySecrets();
  const time = { now: start };
  const options: CertificateOptions = {
    ...{
      store,
      authority: 'ca',
      certificates: async () => certificates,
      labels: { 'app.kubernetes.io/name': 'conclave' },
    },
    policy: { leafLifeMs: 6 * day, authorityLifeMs: 24 * day, overlapMs: day, backdateMs: hour },
    wallClock: () => time.now,
    ...changes,
  };
  return { store, time, options, keep: () => keepCertificates(options) };
}

/** What a process has that took its files at some moment. */
interface View {
  readonly at: number;
  readonly leaf: X509Certificate;
  readonly bundle: readonly X509Certificate[];
}

function viewOf(store: MemorySecrets, secret: string, at: number): View {
  const data = store.data(secret);
  const leaf = new X509Certificate(data['tls.crt'] ?? '');
  const bundle = (data['ca.crt'] ?? '').split(/(?<=-----END CERTIFICATE-----)\n/).filter((pem) => pem !== '');
  return { at, leaf, bundle: bundle.map((pem) => new X509Certificate(pem)) };
}

/** Whether one certificate signed another; each pair is looked at once. */
const signatures = new Map<string, boolean>();
function signed(ca: X509Certificate, leaf: X509Certificate): boolean {
  const pair = `${ca.fingerprint256} ${leaf.fingerprint256}`;
  const known = signatures.get(pair) ?? (leaf.checkIssued(ca) && leaf.verify(ca.publicKey));
  signatures.set(pair, known);
  return known;
}

function accepts({ bundle }: View, { leaf }: View, now: number): boolean {
  const valid = (one: X509Certificate) => Date.parse(one.validFrom) <= now && now < Date.parse(one.validTo);
  return valid(leaf) && bundle.some((ca) => valid(ca) && signed(ca, leaf));
}

describe('the certificates of a cluster', () => {
  it('are made at first, with their names, and left as they are', async () => {
    const { store, keep } = cluster();
    const changes = await keep();
    expect(changes.map(({ secret }) => secret)).toEqual(['ca', 'controller-tls', 'worker-tls', 'nats-tls']);
    expect(await keep()).toEqual([]);
    const { leaf } = viewOf(store, 'controller-tls', start);
    expect(leaf.subjectAltName).toBe('DNS:conclave, DNS:conclave.default.svc, IP Address:10.0.0.1');
    expect(leaf.checkHost('conclave.default.svc')).toBe('conclave.default.svc');
    expect(viewOf(store, 'worker-tls', start).leaf.checkHost('expert-0.conclave-expert.default.svc')).toBeDefined();
    expect(leaf.checkPrivateKey(createPrivateKey(store.data('controller-tls')['tls.key'] ?? ''))).toBe(true);
    expect(leaf.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
    expect([leaf.ca, new X509Certificate(store.data('ca')['tls.crt'] ?? '').ca]).toEqual([false, true]);
    expect(store.secrets.get('worker-tls')?.labels).toEqual({
      'app.kubernetes.io/name': 'conclave',
      [PURPOSE_LABEL]: 'certificate',
    });
    expect(Object.keys(store.data('worker-tls'))).toEqual(['tls.crt', 'tls.key', 'ca.crt']);
  });

  it('are accepted by every process at every moment over a month, however late each takes new files', async () => {
    const { store, time, options, keep } = cluster();
    const views = secrets.map((): View[] => []);
    const [authorities, leaves] = [new Set<string>(), new Set<string>()];
    const refused: string[] = [];
    for (let hours = 0; hours < 34 * 24; hours += 8) {
      time.now = start + hours * hour;
      await keep();
      for (const [index, secret] of secrets.entries()) {
        views[index]?.push(viewOf(store, secret, time.now));
        // Files that are older than the overlap have been replaced on every machine.
        while ((views[index]?.[0]?.at ?? time.now) < time.now - options.policy.overlapMs) views[index]?.shift();
      }
      const all = views.flat();
      for (const one of all) {
        leaves.add(one.leaf.fingerprint256);
        for (const ca of one.bundle) authorities.add(ca.fingerprint256);
        if (!all.every((other) => accepts(one, other, time.now))) refused.push(`after ${hours} hours`);
      }
    }
    expect(refused).toEqual([]);
    // An authority serves for 16 days, a certificate for four.
    expect(authorities.size).toBeGreaterThanOrEqual(3);
    expect(leaves.size).toBeGreaterThanOrEqual(3 * 8);
    expect(Object.keys(store.data('ca'))).toEqual(expect.arrayContaining(['tls.crt', 'tls.key']));
  }, 120_000);

  it('survive that the authority or a certificate is deleted, which replaces it', async () => {
    const { store, time, options, keep } = cluster();
    await keep();
    const before = secrets.map((secret) => viewOf(store, secret, start));
    store.secrets.delete('worker-tls');
    expect((await keep()).map(({ message }) => message)).toEqual(['issued a certificate: there is none']);
    const first = store.data('ca')['tls.crt'];
    store.secrets.delete('ca');
    for (let hours = 0; hours < 3 * 24; hours += 8) {
      time.now = start + hours * hour;
      await keep();
      if (time.now > start + options.policy.overlapMs) continue;
      for (const [index, secret] of secrets.entries()) {
        for (const old of before)
          expect(accepts(viewOf(store, secret, time.now), old, time.now), `${index}`).toBe(true);
      }
    }
    const { bundle, leaf } = viewOf(store, 'worker-tls', time.now);
    expect(bundle.map((ca) => ca.fingerprint256)).not.toContain(new X509Certificate(first ?? '').fingerprint256);
    expect(bundle).toHaveLength(1);
    expect(leaf.verify(bundle[0]!.publicKey)).toBe(true);
  });

  it('are replaced when somebody asks for it, once', async () => {
    const { store, keep } = cluster();
    await keep();
    const ask = async (name: string): Promise<void> => {
      const secret = store.secrets.get(name)!;
      await store.write({ ...secret, annotations: { ...secret.annotations, 'conclave.dev/renew': 'now' } }, secret);
    };
    await ask('worker-tls');
    expect((await keep()).map(({ message }) => message)).toEqual(['issued a certificate: it was asked for']);
    expect(await keep()).toEqual([]);
    await ask('ca');
    expect((await keep()).map(({ message }) => message)).toEqual([
      'made an authority: it was asked for',
      ...secrets.map(() => 'trusts 2 authorities now'),
    ]);
    expect(await keep()).toEqual([]);
  });

  it('are made once where several processes make them at the same time', async () => {
    const { store, options } = cluster();
    await Promise.all(Array.from({ length: 4 }, () => keepCertificates(options)));
    const views = secrets.map((secret) => viewOf(store, secret, start));
    for (const one of views) for (const other of views) expect(accepts(one, other, start)).toBe(true);
    expect(await keepCertificates(options)).toEqual([]);
  });

  it('of somebody else are not touched', async () => {
    const { store, keep } = cluster();
    const foreign = { name: 'nats-tls', type: 'kubernetes.io/tls', labels: {}, annotations: {}, data: {} } as const;
    await store.write(foreign, null);
    await expect(keep()).rejects.toThrow('Secret nats-tls is there already, without the label');
    expect(store.data('nats-tls')).toEqual({});
  });

  it('of an authority whose key does not fit are not replaced in silence', async () => {
    const { store, keep } = cluster();
    await keep();
    const secret = store.secrets.get('ca')!;
    const data = { ...secret.data, 'tls.key': store.data('nats-tls')['tls.key'] ?? '' };
    await store.write({ ...secret, data }, secret);
    await expect(keep()).rejects.toThrow('Secret ca: tls.key is not the key of the certificate in tls.crt');
  });
});

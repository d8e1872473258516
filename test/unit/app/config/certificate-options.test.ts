import { describe, expect, it } from 'vitest';
import { certificateOptions } from '../../../../app/compose/kubernetes/certificates.ts';
import { prepareSchema } from '../../../../app/config/certificate-options.ts';
import { controllerSchema } from '../../../../app/config/controller-config.ts';
import { loadConfig } from '../../../../app/config/load-config.ts';
import { MemorySecrets } from '../../controller/kubernetes/certificates/memory-secrets.ts';

const load = (flags: object, environment: Readonly<Record<string, string>> = {}) =>
  loadConfig(prepareSchema, { flags: { ...flags }, environment, file: null }).config;

describe('certificates by options', () => {
  const both = new Map([
    ['c-worker-tls', ['*.c-expert.default.svc', '10.0.0.1']],
    ['c-nats-tls', ['c-nats']],
  ]);

  it('are lists of names by their Secrets, as flags or in a variable', () => {
    const flags = { certificate: ['c-worker-tls=*.c-expert.default.svc,10.0.0.1', 'c-nats-tls=c-nats'] };
    expect(load(flags).certificate).toEqual(both);
    const variable = { CONCLAVE_CERTIFICATE: flags.certificate.join(' ') };
    expect(load({}, variable).certificate).toEqual(both);
  });

  it('have the lives that are asked for', () => {
    const config = load({ authority: 'ca', certificate: ['c=d'], certificateDays: '3', authorityOverlap: '2m' });
    expect(certificateOptions(config, new MemorySecrets(), {})?.policy).toMatchObject({
      leafLifeMs: 3 * 86_400_000,
      overlapMs: 120_000,
    });
    expect(certificateOptions(load({}), new MemorySecrets(), {})).toBeNull();
  });

  it.each([
    [{ certificate: ['c-tls'] }, 'expected SECRET=NAME,NAME, got "c-tls"'],
    [{ certificate: ['c-tls=a,,b'] }, 'expected SECRET=NAME,NAME'],
    [{ certificate: ['C=a'] }, 'expected SECRET=NAME,NAME'],
    [{ credentials: ['nats'] }, 'expected SECRET=USER, got "nats"'],
    [{ authority: 'C_CA' }, 'expected the name of a Secret'],
  ])('%j is refused', (flags, says) => {
    expect(() => load(flags)).toThrow(says);
  });

  it('belong together: who signs, and what is signed', () => {
    const half = load({ authority: 'ca' });
    expect(() => certificateOptions(half, new MemorySecrets(), {})).toThrow('--authority and --certificate belong');
  });

  it('are replaced by the operator, so a controller needs it for them', () => {
    const flags = { authority: 'ca', certificate: ['c=d'], nats: 'nats://h' };
    expect(() => loadConfig(controllerSchema, { flags, environment: {}, file: null })).toThrow('--kubernetes too');
  });
});

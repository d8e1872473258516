import { describe, expect, it } from 'vitest';
import type { RawObject } from '../../../../../controller/kubernetes/api/kube-api.ts';
import { withPoolNames } from '../../../../../controller/kubernetes/certificates/pool-names.ts';

const object = (name: string, spec: object): RawObject => ({ metadata: { name, resourceVersion: '1' }, spec });
const certificates = new Map([
  ['worker-tls', ['localhost', '*.moe-stage.ns.svc']],
  ['nats-tls', ['nats']],
]);
const model = object('moe', { workers: { tls: { secretName: 'worker-tls' } } });
const pools = [object('moe', { model: 'moe' }), object('spare', { model: 'moe' }), object('other', { model: 'else' })];

describe("the names of workers' certificates", () => {
  it('are those of every pool of the model, beside those that options give', () => {
    const names = withPoolNames({ certificates, model, pools, namespace: 'ns' });
    expect(names.get('worker-tls')).toEqual([
      ...['localhost', '*.moe-stage.ns.svc', '*.moe-expert.ns.svc', '*.spare-expert.ns.svc'],
    ]);
    expect(names.get('nats-tls')).toEqual(['nats']);
  });

  it.each([
    ['there is no model', undefined],
    ['workers have no certificate', object('moe', { workers: {} })],
    ['their certificate is somebody else’s', object('moe', { workers: { tls: { secretName: 'own-tls' } } })],
  ])('are those of the options alone where %s', (_, given) => {
    expect(withPoolNames({ certificates, model: given, pools, namespace: 'ns' })).toBe(certificates);
  });
});

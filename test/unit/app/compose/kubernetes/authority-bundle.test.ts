import { expect, it, vi } from 'vitest';
import { keepAuthorityBundle } from '../../../../../app/compose/kubernetes/authority-bundle.ts';
import { ManualClock } from '../../../worker/engine/manual-clock.ts';

it('tells the API server whom to trust while its controller leads, and again when that changes', async () => {
  const clock = new ManualClock();
  const applied: string[] = [];
  const errors: unknown[] = [];
  let [leads, authority, broken, ends] = [false, 'one', false, false];
  const stop = keepAuthorityBundle({
    api: {
      applyCluster: async (path, object) => {
        if (broken) throw new Error('not reached');
        const { spec } = object as { readonly spec: { readonly caBundle: string } };
        applied.push(`${path.split('/').at(-1)} ${Buffer.from(spec.caBundle, 'base64').toString()}`);
      },
      namespaceLeaves: async () => ends,
      dropApiService: async (name) => {
        applied.push(`no ${name}`);
      },
    },
    tls: {
      get current() {
        return { authority: Buffer.from(authority) } as never;
      },
    },
    leads: () => leads,
    onError: (_, error) => errors.push(error),
    clock,
  });
  const look = async () => {
    clock.advance(10_000);
    await vi.waitFor(() => expect(clock.waiting).toBe(1));
  };
  await look();
  expect(applied).toEqual([]);
  leads = true;
  await look();
  await look();
  expect(applied).toEqual(['v1beta1.external.metrics.k8s.io one']);
  [authority, broken] = ['two', true];
  await look();
  expect([applied.length, errors.length]).toEqual([1, 1]);
  broken = false;
  await look();
  expect(applied).toEqual(['v1beta1.external.metrics.k8s.io one', 'v1beta1.external.metrics.k8s.io two']);
  await stop();
  expect(applied.length).toBe(2);
  ends = true;
  await stop();
  expect(applied.at(-1)).toBe('no v1beta1.external.metrics.k8s.io');
});

import { afterAll, describe, expect, it } from 'vitest';
import { get, helm, kubectl, kubernetesTests } from './harness/programs.ts';
import { Release } from './harness/release.ts';
import { until } from './harness/until.ts';

const release = new Release('conclave', 'first');
/** With images that the node has. */
const answersWithinMs = 120_000;

describe.skipIf(kubernetesTests.skip)(`helm install, with the defaults${kubernetesTests.suffix}`, () => {
  afterAll(() => kubectl('delete', 'namespace', release.namespace, '--ignore-not-found', '--wait=false'));

  it('answers a question through the Service within two minutes, in a namespace that is restricted', async () => {
    const began = Date.now();
    await release.apply();
    const answer = await until('an answer', answersWithinMs, () => release.answer('What is 974 + 662?'));
    expect(answer).toBe('974 + 662 = 1636');
    process.stderr.write(`helm install: answers after ${((Date.now() - began) / 1_000).toFixed(1)} s\n`);
    expect(Date.now() - began).toBeLessThan(answersWithinMs);
    await release.settled(120_000);
  });

  it('shows models and pools that read well', async () => {
    const models = (await release.kubectl('get', 'moe')).split('\n');
    expect(models[0]).toMatch(/^NAME +MODEL +PHASE/);
    expect(models[1]).toMatch(new RegExp(`^${release.name} +clerk +Ready`));
    const pools = (await release.kubectl('get', 'xp')).split('\n');
    expect(pools[1]).toMatch(new RegExp(`^${release.name} +${release.name} +2`));
    expect(await release.kubectl('explain', 'xp.spec.replicas')).toContain('DESCRIPTION');
  });

  it('passes its own test', async () => {
    expect(await helm('test', release.name, '-n', release.namespace)).toMatch(/Phase: +Succeeded/);
  });

  it('keeps Secrets over an upgrade that changes nothing, and restarts no pod', async () => {
    const before = [await release.secret('api-keys', 'keys'), await release.secret('ca', 'tls.crt')];
    const uids = async () => (await get('-n', release.namespace, 'pods')).items.map(uidOf).toSorted();
    const pods = await uids();
    await release.apply();
    await release.settled(120_000);
    expect([await release.secret('api-keys', 'keys'), await release.secret('ca', 'tls.crt')]).toEqual(before);
    expect(await uids()).toEqual(pods);
  });

  it('is uninstalled without a trace but its Secrets and disks', async () => {
    await release.uninstall();
    const kinds = 'moe,xp,statefulset,deployment,service,pdb,networkpolicy,role,rolebinding,job';
    expect(await release.kubectl('get', kinds, '-o', 'name')).toBe('');
    expect(await release.kubectl('get', 'secret', '-o', 'name')).toContain(`secret/${release.name}-ca`);
  });
});

function uidOf(object: { readonly metadata: { readonly uid: string } }): string {
  return object.metadata.uid;
}

import { beforeAll, describe, expect, it } from 'vitest';
import { get, helm, kubernetesTests } from './harness/programs.ts';
import { Release } from './harness/release.ts';
import { sharedRelease, sharedValues } from './harness/shared-release.ts';
import { until } from './harness/until.ts';

const release = new Release('conclave');
/** With images that the node has. */
const answersWithinMs = 120_000;

// The release stays for the files that come later; those that end it come last.
describe.skipIf(kubernetesTests.skip)(`helm install${kubernetesTests.suffix}`, () => {
  beforeAll(() => release.erase());

  it('answers a question through the Service within two minutes, in a namespace that is restricted', async () => {
    const began = Date.now();
    await release.apply(...sharedValues);
    const answer = await until('an answer', answersWithinMs, () => release.answer('What is 974 + 662?'));
    expect(answer).toBe('974 + 662 = 1636');
    process.stderr.write(`helm install: answers after ${((Date.now() - began) / 1_000).toFixed(1)} s\n`);
    expect(Date.now() - began).toBeLessThan(answersWithinMs);
    await sharedRelease();
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
    await release.apply(...sharedValues);
    await sharedRelease();
    expect([await release.secret('api-keys', 'keys'), await release.secret('ca', 'tls.crt')]).toEqual(before);
    expect(await uids()).toEqual(pods);
  });
});

function uidOf(object: { readonly metadata: { readonly uid: string } }): string {
  return object.metadata.uid;
}

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { root } from '../e2e/server.ts';
import { HubServer } from '../integration/hub/hub-server.ts';
import { get, kubernetesTests } from './harness/programs.ts';
import { Release } from './harness/release.ts';
import { sharedRelease } from './harness/shared-release.ts';
import { until } from './harness/until.ts';

/** This machine, as pods reach it. */
const host = '10.245.0.1';
const name = 'acme/clerk';
const token = 'hf_secret';
/** A second model in the namespace of the shared release. */
const release = new Release('conclave-hub', 'conclave');
const folder = join(root, 'models/clerk');
let other: Release;
let hub: HubServer;

describe.skipIf(kubernetesTests.skip)(`a model from the Hub${kubernetesTests.suffix}`, () => {
  beforeAll(async () => {
    other = await sharedRelease();
    const files = readdirSync(folder).map((file) => [file, readFileSync(join(folder, file))] as const);
    const commit = '1a'.repeat(20);
    hub = await HubServer.listen(host, {
      ...{ name, commit, refs: { main: commit }, files: Object.fromEntries(files), token },
      large: (path) => path.endsWith('.safetensors'),
    });
  });
  afterAll(async () => {
    hub?.stop();
    await release.uninstall();
    await release.kubectl('delete', 'secret,pvc', '-l', `app.kubernetes.io/instance=${release.name}`);
    await release.kubectl('delete', 'secret', 'hub');
  });

  it('is fetched by one pod, with a token of a Secret; those that come later find it', async () => {
    await release.kubectl('create', 'secret', 'generic', 'hub', `--from-literal=token=${token}`);
    const small = 'nats.replicas=1,controller.replicas=2,model.expertReplicas=1,expertPools.default.replicas=1';
    const source = `repository=${name},tokenSecretName=hub,endpoint=${hub.endpoint},claim.size=1Gi`;
    const values = `${small},${source.replaceAll(/(^|,)/g, '$1model.source.huggingFace.')}`;
    await release.apply('--set', values);
    const answer = await until('an answer', 120_000, () => release.answer('What is 974 + 662?'));
    expect(answer).toBe('974 + 662 = 1636');
    // Of the contents of each file, wherever it came from.
    const fetched = hub.seen.filter(
      ({ method, origin, url }) => method === 'GET' && origin === 'cdn' && url.includes('safetensors'),
    );
    expect(fetched).toHaveLength(1);
    const before = hub.seen.length;
    await release.kubectl('delete', 'pod', `${release.name}-expert-0`);
    await release.ready('worker', 2, 120_000);
    expect(hub.seen.slice(before).filter(({ origin, url }) => origin === 'cdn' || url.includes('/resolve/'))).toEqual(
      [],
    );
  });

  it('is served beside another model of the namespace, each by its own controllers', async () => {
    for (const { name: model, namespace } of [release, other]) {
      const { status } = await get('-n', namespace, 'moe', model);
      expect([model, status.phase, status.controller.startsWith(`${model}-`)]).toEqual([model, 'Ready', true]);
      const pool = await get('-n', namespace, 'xp', model);
      expect(pool.status.readyReplicas).toBe(pool.spec.replicas);
    }
    expect(await other.answer('What is 974 + 662?')).toBe('974 + 662 = 1636');
  });
});

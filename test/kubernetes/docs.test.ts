import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { root } from '../e2e/server.ts';
import { chart, kubectl, kubernetesTests, shell } from './harness/programs.ts';

/** The document's blocks of shell, in order, with the heading that each is under. */
const blocks = [
  ...readFileSync(join(root, 'docs/kubernetes.md'), 'utf8').matchAll(/^## (.+)$|^```sh\n([^]*?)^```$/gm),
].reduce<{ readonly heading: string; readonly script: string }[]>((found, [, heading, script]) => {
  if (heading !== undefined) return [...found, { heading, script: '' }];
  return [...found, { heading: found.at(-1)?.heading ?? '', script: script ?? '' }];
}, []);
const scripts = blocks.filter(({ script }) => script !== '');

/** A namespace of the document's own, and images that the nodes have. Nothing else of a command is changed. */
function here(script: string): string {
  return script
    .replaceAll('-n conclave', '-n handbook')
    .replaceAll('namespace conclave', 'namespace handbook')
    .replaceAll('image.repository=registry.example/conclave', images)
    .replaceAll('charts/conclave', chart);
}

const images =
  'image.repository=localhost/conclave,image.tag=test,nats.image.repository=localhost/nats,nats.image.tag=test';
let folder = '';

describe.skipIf(kubernetesTests.skip)(`the commands of docs/kubernetes.md${kubernetesTests.suffix}`, () => {
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'conclave-handbook-'));
  });
  afterAll(async () => {
    rmSync(folder, { recursive: true, force: true });
    await kubectl('delete', 'namespace', 'handbook', '--ignore-not-found', '--wait=false');
  });

  it('begin with building the image, of which the cluster has the result', () => {
    expect(scripts[0]?.script).toMatch(/^docker build -t \S+ \.\ndocker push \S+\n$/);
  });

  it.each(scripts.slice(1))('$heading: $script', async ({ script }) => {
    // What a block starts in the background ends with it.
    const output = await shell(`cd '${folder}'; trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n${here(script)}`);
    expect(output).not.toBe('');
  });

  it('leave nothing behind', async () => {
    await kubectl('wait', '--for=delete', 'namespace/handbook', '--timeout=2m');
    expect(await kubectl('get', 'namespace', 'handbook', '--ignore-not-found')).toBe('');
  });
});

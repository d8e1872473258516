import { cp, mkdtemp, readdir, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { completeGolden, expectGolden } from '../expect-golden.ts';
import { goldenFolder, readGoldens } from '../golden.ts';
import { Server } from '../server.ts';

const family = 'mixtral';
const goldens = readGoldens(family);

let parent = '';
let folder = '';
beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'conclave-files-'));
  folder = join(parent, family);
  await cp(goldenFolder(family), folder, { recursive: true });
});
afterEach(() => rm(parent, { recursive: true, force: true }));

/** Paths of the weight files. */
async function weightFiles(): Promise<readonly string[]> {
  return (await readdir(folder)).filter((name) => name.endsWith('.safetensors')).map((name) => join(folder, name));
}

const changes: Readonly<Record<string, (path: string) => Promise<void>>> = {
  'cut short': (path) => truncate(path, 1_000),
  emptied: (path) => truncate(path, 0),
  deleted: (path) => rm(path),
  'replaced by another': async (path) => {
    await writeFile(`${path}.new`, 'something else');
    await rename(`${path}.new`, path);
  },
};

describe('a weight file that changes while it is served', () => {
  it.each(Object.keys(changes))('changes no answer: %s', async (change) => {
    await using server = await Server.start([folder, '--weights', 'f32']);
    for (const path of await weightFiles()) await changes[change]?.(path);
    // More tokens than before, so that rows of the embedding come up that nobody has read yet.
    for (const golden of goldens) expectGolden(await completeGolden(server, [golden.prompt]), [golden]);
    expect((await server.fetch('/ready')).status).toBe(200);
    expect(await server.stop()).toEqual({ code: 0, signal: null });
  });
});

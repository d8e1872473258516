/** A folder that several machines share holds a model once, whole, and says so. */
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { outlineModel } from '../../../controller/hub/outline.ts';
import { pullIntoCache } from '../../../controller/hub/pull.ts';
import { pullIntoFolder } from '../../../controller/hub/pull-into-folder.ts';
import { HubServer, sha256 } from './hub-server.ts';
import { commit, model, pulling, shards, temporaryFolder, wanted } from './pulling.ts';

const main = { model: model.name, revision: 'main' };

describe('a folder', () => {
  it('gets plain files, and is never asked for again once it is whole', async () => {
    const server = await HubServer.start(model);
    const context = await pulling(server);
    const folder = join(await temporaryFolder(), 'clerk');
    expect(await pullIntoFolder(main, folder, context)).toMatchObject({ directory: folder, commit });
    for (const path of wanted) expect(sha256(await readFile(join(folder, path)))).toBe(sha256(model.files[path]!));
    expect((await readdir(folder)).filter((name) => /incomplete|lock/.test(name))).toEqual([]);
    server.stop();
    expect(await pullIntoFolder(main, folder, context)).toMatchObject({ commit, fetchedBytes: 0 });
    const offline = { ...context, settings: { ...context.settings, offline: true } };
    expect(await pullIntoFolder(main, folder, offline)).toMatchObject({ commit, fetchedBytes: 0 });
  });

  it('is filled once by processes that begin together', async () => {
    const server = await HubServer.start(model);
    const folder = await temporaryFolder();
    const contexts = await Promise.all([1, 2, 3].map(() => pulling(server)));
    const pulled = await Promise.all(contexts.map((context) => pullIntoFolder(main, folder, context)));
    expect(pulled.map(({ fetchedBytes }) => fetchedBytes).sort((a, b) => a - b)).toEqual([0, 0, 500_000]);
    const transfers = server.seen.filter(({ origin }) => origin === 'cdn').map(({ url }) => url);
    expect(new Set(transfers).size).toBe(transfers.length);
    expect(contexts.flatMap(({ notes }) => notes).filter((note) => note.startsWith('wait'))).toHaveLength(2);
  });

  it('goes on at the commit with which it began, though the branch has moved', async () => {
    const server = await HubServer.start(model);
    const context = await pulling(server);
    const folder = await temporaryFolder();
    server.fail({ on: 'cdn:', times: 99, act: (response) => response.writeHead(500).end() });
    await expect(pullIntoFolder(main, folder, context)).rejects.toMatchObject({ code: 'HUB_UNREACHABLE' });
    server.faults.splice(0);
    server.models = [{ ...model, refs: { main: '2b'.repeat(20) } }];
    expect(await pullIntoFolder(main, folder, context)).toMatchObject({ commit });
  });

  it('that lost a file gets it back', async () => {
    const server = await HubServer.start(model);
    const context = await pulling(server);
    const folder = await temporaryFolder();
    await pullIntoFolder(main, folder, context);
    await rm(join(folder, shards[1]));
    expect(await pullIntoFolder(main, folder, context)).toMatchObject({ fetchedBytes: 200_000 });
  });

  it('of other files or of another model is left alone', async () => {
    const server = await HubServer.start(model);
    const context = await pulling(server);
    const folder = await temporaryFolder();
    await writeFile(join(folder, 'thesis.txt'), 'mine');
    await expect(pullIntoFolder(main, folder, context)).rejects.toThrow('does not say of which model');
    expect(await readdir(folder)).toEqual(['thesis.txt']);
    const other = await temporaryFolder();
    await pullIntoFolder(main, other, context);
    const revision = { ...main, revision: 'v1.0' };
    await expect(pullIntoFolder(revision, other, context)).rejects.toThrow(
      /holds Acme\/Clerk-1B at main .* not .* v1\.0/,
    );
  });
});

describe('processes that begin together', () => {
  it('fill the cache once', async () => {
    const server = await HubServer.start(model);
    const first = await pulling(server);
    const others = await Promise.all([pulling(server), pulling(server)]);
    const contexts = [first, ...others.map((context) => ({ ...context, settings: first.settings }))];
    const pulled = await Promise.all(contexts.map((context) => pullIntoCache(main, context)));
    expect(new Set(pulled.map(({ directory }) => directory)).size).toBe(1);
    const transfers = server.seen.filter(({ origin }) => origin === 'cdn').map(({ url }) => url);
    expect(new Set(transfers).size).toBe(transfers.length);
  });
});

describe('an outline', () => {
  it('has every text and the size of every weight file, of which it fetches the header', async () => {
    const header = Buffer.from(`{"__metadata__": {"pad": "${'x'.repeat(300_000)}"}}`);
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.byteLength));
    const weights = Buffer.concat([length, header, Buffer.alloc(2_000_000, 7)]);
    const server = await HubServer.start({ ...model, files: { ...model.files, 'model.safetensors': weights } });
    const folder = await temporaryFolder();
    await outlineModel(main, folder, await pulling(server));
    const outline = await readFile(join(folder, 'model.safetensors'));
    expect(outline.byteLength).toBe(weights.byteLength);
    expect(outline.subarray(0, 8 + header.byteLength).equals(weights.subarray(0, 8 + header.byteLength))).toBe(true);
    expect(outline.subarray(-1_000_000).every((byte) => byte === 0)).toBe(true);
    expect(await readFile(join(folder, 'config.json'))).toEqual(model.files['config.json']);
  });
});
